"""Features of vectors: what a pretrained encoder makes of a cell."""

from collections.abc import Mapping, Sequence

import numpy as np

from polymodal.plain.blocks import Columns
from polymodal.plain.features.base import FEATURIZERS, Featurizer, Matrix, Piece, dense


@FEATURIZERS.register("vector")
class VectorFeaturizer(Featurizer):
    """The numbers of a vector as they are; of no modality, but of the output of an encoder."""

    modality = "vector"

    def learn(self, items: Sequence[np.ndarray]) -> None:
        """See :class:`Featurizer`."""
        names = tuple(f"feature {number}" for number in range(len(items[0])))
        self.columns = {"": Columns(names, "number")}

    def features(self, items: Sequence[np.ndarray]) -> Mapping[str, Matrix]:
        """See :class:`Featurizer`."""
        return {"": dense(items)}

    def pieces(self, items: Sequence[np.ndarray], part: str, found: np.ndarray) -> list[Piece]:
        """See :class:`Featurizer`; a single number of an encoder's output means nothing alone."""
        return [Piece("feature", "output of the pretrained encoder", float(found.sum()))]
