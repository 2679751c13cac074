"""The tutorial's gateway: asks the storage service over HTTP for every request, served by Flask's own server.

usage: gateway_service.py PORT STORAGE_PORT
"""

from __future__ import annotations

import sys

import requests
from flask import Flask, Response, jsonify, request

app = Flask(__name__)
storage = f"http://127.0.0.1:{sys.argv[2]}" if len(sys.argv) > 2 else ""


@app.route("/api/data/chain/<product>")
def chain(product: str) -> tuple[Response, int]:
    """What the storage service answers, parsed and written once more."""
    answer = requests.get(f"{storage}/option/chain/{product}", params=request.args.to_dict(), timeout=10)
    return jsonify(answer.json()), answer.status_code


@app.route("/health")
def health() -> Response:
    return jsonify({"status": "healthy", "service": "api-gateway"})


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(sys.argv[1]), debug=False)
