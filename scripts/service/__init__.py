"""One `birdlite serve` as a process, and its clients. For `scripts.bench_service` and `scripts.soak_service`."""
