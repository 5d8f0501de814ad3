"""From targets to results, for the command line and Python alike: classifier, pipeline, workers, engines, ranking."""
