"""The Open Inference Protocol (KServe v2) as bytes and arrays: neither Flask nor a socket."""
