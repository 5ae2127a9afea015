"""Images as multiple-instance learning takes them: tags and a bag of proposals."""

from dataclasses import dataclass
from functools import cached_property

from jaxtyping import Bool
from torch import Tensor

from wsis._support.files import digest
from wsis.contracts import Image, Proposals, TaggedImage
from wsis.proposals.store import KeptSource


@dataclass(frozen=True, eq=False)
class Bag:
    """One tagged image and its proposals; both are read on demand and not kept.

    Args:
        image: the photo and its tags.
        source: makes the proposals, or finds them on disk.
    """

    image: TaggedImage
    source: KeptSource

    @property
    def tags(self) -> Bool[Tensor, " C"]:
        """The classes that are present."""
        return self.image.tags

    @property
    def pixels(self) -> Image:
        """The photo."""
        return self.image.load()

    @cached_property
    def key(self) -> str:
        """A digest of the photo's content."""
        return digest(self.pixels)

    @property
    def origin(self) -> str:
        """A name of what the proposals come from; others have another."""
        return self.source.origin(self.key)

    @property
    def labels(self) -> str:
        """A digest of what somebody said of the photo: its tags and points."""
        points = self.image.points
        given = None if points is None else [points.xy.tolist(), points.label.tolist()]
        return digest(self.tags.tolist(), given)

    @property
    def proposals(self) -> Proposals:
        """The photo's proposals."""
        return self.source.get(self.key, self.image.load)
