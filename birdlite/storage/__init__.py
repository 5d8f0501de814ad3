"""Lists, pictures, parts and outputs in object storage: s3://, gs:// and az://, through the client `obstore`.

    address.py  the parts of such a URL: scheme, bucket and key
    store.py    objects read, listed and put, within the time limits of the settings
    faults.py   errors of obstore and of a store, as kinds of failure with a message of one line
    upload.py   an output: made on this machine, then put, or kept where the user finds it

obstore is the extra `cloud`, and is imported when a bucket is first opened. A run without such a URL imports only
`address` and `store`.
"""
