"""Says whose notes it would show: as a Lambda function behind API Gateway, and as a server on this machine."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def notes(workspace_id, token_id):
    return json.dumps({"notes_of": workspace_id, "read_with": token_id})


def handler(event, _context):
    """On Lambda. The authorizer has said who calls; neither the path nor a header is needed for that."""
    caller = event["requestContext"]["authorizer"]["lambda"]
    body = notes(caller["workspace_id"], caller["token_id"])
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": body}


class Server(BaseHTTPRequestHandler):
    """Behind the local registry, which sets these two headers itself. Nobody else may reach this port."""

    def do_GET(self):
        body = notes(self.headers["X-Workspace-Id"], self.headers["X-Token-Id"]).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", 8080), Server).serve_forever()
