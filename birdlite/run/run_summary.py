"""What the headers of outputs tell of their runs, for the page that `report` and `merge` make."""

from __future__ import annotations

from collections.abc import Sequence

from birdlite.batch.header import Header, Run, difference
from birdlite.writers import ModelFacts, ReportFacts


def facts_of_run(run: Run) -> tuple[ModelFacts, ReportFacts]:
    """One run. What ran the model is in no header, for it does not decide the records."""
    facts = [("resize", run.resize)]
    if run.min_score > 0:
        facts.append(("scores from", f"{run.min_score:g}"))
    return ModelFacts(run.model, run.model_sha256, "", 0), ReportFacts(facts=tuple(facts), version=run.version)


def facts_of_outputs(headers: Sequence[Header | None]) -> tuple[ModelFacts | None, ReportFacts]:
    """Any outputs, of one run or of several, whole or not; None stands for one without a header.

    Returns:
        The model, if all are of one run.
    """
    known = [header for header in headers if header is not None]
    files = ("outputs", f"{len(headers):,}")
    notes: list[str] = []
    if not known or len(known) < len(headers) or not _are_one_run(known):
        models = sorted({header.run.model for header in known})
        if len(models) > 1:
            notes.append(f"Of several runs, with the models {', '.join(models)}.")
        return None, ReportFacts(facts=(files,), notes=tuple(notes))
    run = known[0].run
    model, report = facts_of_run(run)
    missing = run.shards - len({header.run.shard for header in known})
    if missing:
        notes.append(f"The run is not complete: {missing:,} of {run.shards:,} shards are not here.")
    unfinished = sum(header.totals is None for header in known)
    if unfinished:
        notes.append(f"The run is not complete: {unfinished:,} of the outputs are unfinished.")
    return model, report._replace(facts=(*report.facts, files), notes=tuple(notes))


def _are_one_run(headers: Sequence[Header]) -> bool:
    return all(difference(headers[0].run, header.run, apart_from=("shard",)) is None for header in headers)
