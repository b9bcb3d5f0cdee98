"""``make bench``: this package against the floor and against its peers, on this machine."""
