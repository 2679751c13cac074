"""The tutorial's storage service: chains by product over HTTP, served by Flask's own server.

Where the tutorial asks MongoDB, this looks into memory: whatever a database takes is left out of the
comparison, in the design's favour.

usage: storage_service.py PORT CHAINS.json
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

from flask import Flask, Response, jsonify, request

app = Flask(__name__)
chains: list[dict[str, Any]] = []


@app.route("/option/chain/<product>")
def option_chain(product: str) -> Response:
    """The newest chains of a product, of one expiry or of all."""
    expiry, limit = request.args.get("expiry"), int(request.args.get("limit", 10))
    found = [chain for chain in chains if chain["product"] == product and expiry in (None, chain["expiry"])]
    found.sort(key=lambda chain: chain["timestamp"], reverse=True)
    found = found[:limit]
    return jsonify({"product": product, "count": len(found), "chains": found})


@app.route("/health")
def health() -> Response:
    return jsonify({"status": "healthy", "service": "storage"})


if __name__ == "__main__":
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line per request is the gateway's to write
    chains += json.loads(Path(sys.argv[2]).read_text())
    app.run(host="127.0.0.1", port=int(sys.argv[1]), debug=False)
