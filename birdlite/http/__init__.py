"""What `fetch` is made of: one idea a file, from the URL that is asked for down to the sockets."""
