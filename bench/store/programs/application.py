"""What the workers of gunicorn serve: look-ups in a table that was loaded before they were forked."""
import hashlib
import json
import os

from table import table_of, work

TABLE = table_of(int(os.environ.get("BENCH_STORE_MB", "150")))


def application(environ, start_response):
    number = int(environ["PATH_INFO"].strip("/"))
    total = work(TABLE, 500, number)
    body = json.dumps({"number": number, "digest": hashlib.sha256(str(total).encode()).hexdigest()}).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
