"""Small honest servers of other makes; each runs in an environment of its own."""
