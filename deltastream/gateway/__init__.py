"""The gateway: REST over HTTP, for whoever may.

`shell` is the outer layer that every request passes, `app` the routes behind it, `serving` the
socket in front of both. Handlers in `routes` know no HTTP library; `routing` says what they are.
"""
