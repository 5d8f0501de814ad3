"""How fast birdlite is here: on this machine, with this model, on these pictures. For `birdlite bench`.

    from birdlite.bench import measure
    figures = measure(Settings(model="birds-v1-lite"), ["album/"], rounds=10)

Everything is measured with a warm cache and in one process, each thing several times and in turn with the others;
figures are medians. The time of a whole process, from its start, is what `classify --timing` shows.
"""

from __future__ import annotations

from birdlite.bench.measure import Figures, Inference, measure

__all__ = ["Figures", "Inference", "measure"]
