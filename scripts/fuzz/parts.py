"""All parts of the fuzzer, in the order in which they have their turns."""

from __future__ import annotations

from scripts.fuzz.part import Part
from scripts.fuzz.read_archives import ARCHIVES
from scripts.fuzz.read_heads import HEADS
from scripts.fuzz.read_models import MODELS
from scripts.fuzz.read_pictures import PICTURES
from scripts.fuzz.read_records import RECORDS
from scripts.fuzz.read_texts import BUNDLES, LABELS, LISTS

PARTS: tuple[Part, ...] = (PICTURES, HEADS, LISTS, LABELS, BUNDLES, RECORDS, ARCHIVES, MODELS)
