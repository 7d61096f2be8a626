"""`python -m sandbox --port 8787` serves the sandbox to any client."""

from __future__ import annotations

import argparse

import uvicorn

from sandbox.server.app import create_app


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description="The API, without a model.")
    parser.add_argument("--host", default="127.0.0.1", help="default: this computer only")
    parser.add_argument("--port", type=int, default=8787)
    parser.add_argument("--seconds", type=float, default=2.0, help="how long a prediction takes")
    parser.add_argument("--at-once", type=int, help="how many predictions of a key run at once; default: any number")
    chosen = parser.parse_args()
    print(f"Sandbox on http://{chosen.host}:{chosen.port} takes any key. No model, nothing is charged.")  # noqa: T201 - a command line speaks here
    uvicorn.run(
        create_app(seconds=chosen.seconds, at_once=chosen.at_once),
        host=chosen.host,
        port=chosen.port,
        log_level="warning",
    )


if __name__ == "__main__":
    main()
