"""Every answer is accounted for before it is given."""
