"""What publishing a complete processing asks of its manager."""

from dataclasses import dataclass

from b2cal import loop
from b2cal.model import ProcessingState, PublishPolicy


@dataclass(frozen=True)
class Asked:
    """What the manager of a processing is told; `refused`: publishing is impossible as it stands, whoever tries."""

    sentence: str
    refused: bool


def asked_to_publish(view: loop.ProcessingView) -> Asked | None:
    """What a processing asks now; None while it is not finished, waits for an earlier one, or publishes by itself."""
    if view.processing.state is not ProcessingState.COMPLETE:
        return None
    preview = loop.publication_preview(view)
    if preview.unknown:
        return None
    if preview.refused:
        return Asked(loop.why_unpublished(view), refused=True)
    if preview.obstacle or view.processing.publish_policy is not PublishPolicy.MANUAL:
        return None
    return Asked(loop.why_unpublished(view), refused=False)
