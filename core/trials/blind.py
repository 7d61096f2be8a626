"""The pictures of a trial as judges get them: made when it opens, each under an id that says nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from core.ledger.trials import Picture
from core.pictures.blind import SUFFIX, Unopenable
from core.pictures.decoder import Decoder
from core.trials.trial import folder_of


def place(home: Path, trial_id: str, picture_id: str) -> Path:
    """Where a picture lies as judges get it."""
    return folder_of(home, trial_id) / "blind" / f"{picture_id}{SUFFIX}"


class Blind:
    """Makes them, in the processes that open pictures. `home`: the data folder."""

    def __init__(self, decoder: Decoder, home: Path) -> None:
        self._decoder = decoder
        self._home = home

    async def make(self, trial_id: str, pictures: Sequence[Picture]) -> dict[int, str]:
        """Write them, all that show one case alike; a case after the other, so that nobody else waits for long.

        What comes back are the cases of which a picture can't be opened, each with a sentence.

        Raises:
            KontextError: the disk can't be written to.
        """
        unopened: dict[int, str] = {}
        alike = defaultdict(list)
        for picture in pictures:
            alike[picture.case, "" if picture.variant else picture.id].append(picture)
        for (case, _), group in alike.items():
            targets = [place(self._home, trial_id, picture.id) for picture in group]
            sources = [picture.path for picture in group]
            try:
                try:
                    await self._decoder.make_alike(sources, targets)
                except Unopenable:  # its process may have ended for another reason
                    await self._decoder.make_alike(sources, targets)
            except Unopenable as fault:
                unopened[case] = fault.happened
        return unopened
