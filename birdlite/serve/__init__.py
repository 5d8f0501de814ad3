"""`birdlite serve`: the classifier as a service over HTTP, for as many callers as it can answer in time.

One process, one event loop, and the same pipeline as everywhere. A request goes through these modules:

server       listens, ends in good order at SIGTERM, and drops connections that are too slow
app          the routes, request ids, the log line of each request
intake       a request's body or URLs into targets, within bounds
admission    who may wait, and who is told to come back later
pictures     one picture through the classifier, for the event loop
answers      results as JSON, problems as RFC 9457, the stages as Server-Timing
metrics      what Prometheus reads
page         what people see at /

It stands on Starlette and uvicorn (extra `serve`), which nothing else imports.
"""
