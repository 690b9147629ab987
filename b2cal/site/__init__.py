"""The web site: pages, log-in, static files. What people do here are the verbs of `loop`; no rule lives in the site."""

from .app import create_app, serve

__all__ = ["create_app", "serve"]
