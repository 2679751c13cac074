"""The handlers of the API, by chapter. Each module lists its routes as `ROUTES`."""
