"""Arrays become arrays here: model files, sessions and the process that tries them."""
