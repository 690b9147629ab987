"""The pages, one module each: the route, what it reads, what it answers."""

from . import (
    acting,
    calibration,
    data,
    decisions,
    health,
    inbox,
    jobs,
    login,
    payloads,
    preferences,
    processing,
    processings,
    result,
    submission,
    tags,
)

BLUEPRINTS = (
    login.pages,
    preferences.pages,
    health.pages,
    inbox.pages,
    processings.pages,
    processing.pages,
    calibration.pages,
    submission.pages,
    acting.pages,
    acting.processing_pages,
    jobs.pages,
    payloads.pages,
    tags.pages,
    data.pages,
    decisions.pages,
    result.pages,
)
