"""The HTTP door: reads, calls one function, returns."""
