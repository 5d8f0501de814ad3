"""Lists, pictures, parts and outputs in object storage: s3://, gs:// and az://, through the client `obstore`.

    address.py  what such a URL says: the scheme, the bucket, the key
    store.py    objects read, listed and put, within the time that the settings give
    stream.py   an object as a file that is read in ranges
    faults.py   what obstore and a store say, as a kind of failure and one line
    scratch.py  the folder on this machine where an output is made before it is put
    upload.py   such an output at its end: put, or kept where the user finds it

obstore is the extra `cloud`, and is imported when a bucket is first opened. Rooms that take a path ask
`address.is_storage` and hand over; a run without such a URL imports `address` and `store`, which are small, no more.
"""
