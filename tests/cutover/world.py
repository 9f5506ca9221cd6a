"""The world of the scenarios: local registries, the engine, and between them a stand-in for Lambda that the engine calls.

The engine executes the file that template.yaml names, with its substitutions, and a registry answers every call. A
scenario can only inject faults on the way to the registry (`Front.on`).
"""

import hashlib
import http.client
import http.server
import itertools
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import boto3
from botocore.config import Config
from samcli.yamlhelper import yaml_parse

ROOT = Path(__file__).resolve().parents[2]
# Of this run alone: there may be another one.
SCRATCH = ROOT / "target" / "cutover" / str(os.getpid())
ADMIN_TOKEN = secrets.token_hex(20)
PATIENCE = 60


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_until(what, condition):
    give_up = time.monotonic() + PATIENCE
    while not (found := condition()):
        if time.monotonic() > give_up:
            raise AssertionError(f"not within {PATIENCE} s: {what}")
        time.sleep(0.05)
    return found


class Registry:
    """A local registry with its data in a file, so that it can be killed and started again."""

    def __init__(self, executable, name):
        self.executable = executable
        self.data = SCRATCH / f"{name}.sqlite"
        self.log = open(SCRATCH / f"{name}.log", "w", encoding="utf-8")
        self.port = 0
        self.start()

    def start(self):
        command = [self.executable, "--port", str(self.port), "--data", str(self.data)]
        self.process = subprocess.Popen(
            command, env={**os.environ, "ADMIN_TOKEN": ADMIN_TOKEN}, stdout=subprocess.PIPE, stderr=self.log, text=True
        )
        line = self.process.stdout.readline()
        assert " listening on " in line, f"the registry does not start: {self.log.name}"
        self.port = urllib.parse.urlsplit(line.split()[-1]).port

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def call(self, method, path, body=None, token=None):
        """Calls it over HTTP and returns status and JSON. Repeats the call if a busy machine made the store too slow."""
        while (answer := self.call_once(method, path, body, token))[1].get("code") == "store_unavailable":
            time.sleep(0.2)
        return answer

    def call_once(self, method, path, body, token):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=data, method=method)
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as answer:
            return answer.code, json.load(answer)


class Front(http.server.ThreadingHTTPServer):
    """Stands in for Lambda: passes invocations on, and answers with Lambda's own errors if the registry is down."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), FrontHandler)
        self.registries = {}
        self.faults = {}
        self.calls = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def on(self, workspace_id, fault):
        """Before each call, `fault(function, payload)` may return "fail" (the call is not passed on), "lose" (it is passed
        on, and its answer is lost) or "deny" (the caller has no permission)."""
        self.faults[workspace_id] = fault

    def answered(self, workspace_id, function):
        """A function's calls for a workspace: payloads with answers."""
        return [call for call in list(self.calls) if call[:2] == (workspace_id, function)]


class FrontHandler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        payload = self.rfile.read(int(self.headers["Content-Length"]))
        function = urllib.parse.unquote(self.path).split("/")[3].rsplit(":", 1)[-1]
        asked = json.loads(payload)
        workspace_id = asked["workspace_id"]
        fault = self.server.faults.get(workspace_id, lambda *_: None)(function, asked)
        try:
            if fault == "fail":
                raise ConnectionRefusedError
            if fault == "deny":
                raise PermissionError
            status, headers, answer = self.pass_on(self.server.registries[workspace_id], payload)
            self.server.calls.append((workspace_id, function, asked, json.loads(answer)))
            if fault == "lose":
                raise ConnectionResetError
        except PermissionError:
            status, headers, answer = lambda_error(403, "AccessDeniedException")
        except (OSError, http.client.HTTPException):
            status, headers, answer = lambda_error(500, "ServiceException")
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def pass_on(self, registry, payload):
        connection = http.client.HTTPConnection("127.0.0.1", registry.port, timeout=30)
        try:
            connection.request("POST", self.path, payload, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            kept = {name: value for name, value in answer.getheaders() if name.lower().startswith("x-amz")}
            return answer.status, kept, answer.read()
        finally:
            connection.close()

    def log_message(self, *_):
        pass


def lambda_error(status, name):
    headers = {"x-amzn-errortype": name, "x-amzn-RequestId": "00000000-0000-0000-0000-000000000000"}
    return status, headers, b'{"message": "Lambda itself answers."}'


class World:
    """Everything that a run needs. `close` stops the processes."""

    def __init__(self):
        shutil.rmtree(SCRATCH, ignore_errors=True)
        SCRATCH.mkdir(parents=True)
        self.numbers = itertools.count(1)
        self.processes = []
        self.front = Front()
        self.executable = build_registry()
        self.registry = self.start_registry("steady")
        self.mortal_registry = self.start_registry("mortal")
        self.start_engine()
        definition, substitutions = read_template()
        for name, value in substitutions.items():
            definition = definition.replace(f"${{{name}}}", value)
        self.definition = json.loads(definition)
        role = "arn:aws:iam::123456789012:role/cutover"
        created = self.sfn.create_state_machine(name="cutover", definition=definition, roleArn=role)
        self.machine = created["stateMachineArn"]

    def start_registry(self, name):
        registry = Registry(self.executable, name)
        self.processes.append(registry)
        return registry

    def start_engine(self):
        port = free_port()
        command = [sys.executable, str(Path(__file__).with_name("engine.py")), str(port)]
        environment = {**os.environ, "MOTO_PORT": str(self.front.server_port), "TZ": "UTC"}
        with open(SCRATCH / "engine.log", "w", encoding="utf-8") as log:
            self.engine = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=log)
        line = self.engine.stdout.readline()
        assert line, f"the engine does not start: {log.name}"
        self.midnight = int(line)
        # The rest of its output is not needed, but a full pipe would block it.
        threading.Thread(target=self.engine.stdout.read, daemon=True).start()
        endpoint = f"http://127.0.0.1:{port}"
        self.sfn = boto3.client(
            "stepfunctions",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
            config=Config(retries={"total_max_attempts": 1}),
        )

        def is_up():
            assert self.engine.poll() is None, f"the engine does not start: {log.name}"
            with socket.socket() as attempt:
                return attempt.connect_ex(("127.0.0.1", port)) == 0

        wait_until("the engine", is_up)

    def close(self):
        self.front.shutdown()
        for process in [self.engine, *(registry.process for registry in self.processes)]:
            process.kill()
            process.wait()

    def workspace(self, registry=None, **fields):
        return Workspace(self, registry or self.registry, **fields)

    def start(self, given):
        """Starts an execution. The engine needs a name; AWS would generate one."""
        name = f"run-{next(self.numbers)}"
        started = self.sfn.start_execution(stateMachineArn=self.machine, name=name, input=json.dumps(given))
        return Execution(self.sfn, started["executionArn"])

    def run(self, given):
        return self.start(given).end()


class Execution:
    def __init__(self, sfn, arn):
        self.sfn, self.arn = sfn, arn

    def end(self):
        """Waits for the end. Returns (error, report) or ("Succeeded", output), and keeps the duration in `seconds`."""

        def described():
            described = self.sfn.describe_execution(executionArn=self.arn)
            return described["status"] != "RUNNING" and described

        described = wait_until(f"the end of {self.arn}", described)
        self.seconds = (described["stopDate"] - described["startDate"]).total_seconds()
        if described["status"] == "SUCCEEDED":
            return "Succeeded", json.loads(described["output"])
        return described["error"], json.loads(described["cause"])

    def states(self):
        events = self.sfn.get_execution_history(executionArn=self.arn)["events"]
        entered = (event.get("stateEnteredEventDetails") for event in events)
        return [details["name"] for details in entered if details]


class Workspace:
    """A workspace with a registered source, and the calls of its containers and of the migrator."""

    numbers = itertools.count(1)
    source_url, target_url = "https://source.cloud-a.example", "https://target.cloud-b.example"

    def __init__(self, world, registry, **fields):
        self.world, self.registry = world, registry
        self.id = f"workspace-{next(self.numbers)}"
        world.front.registries[self.id] = registry
        status, created = registry.call("POST", "/workspaces", {"id": self.id, "name": "Ada", **fields}, ADMIN_TOKEN)
        assert status == 201, created
        self.source_token = created.get("auth_token")
        if self.source_token and fields.get("bootstrap") != "open":
            assert self.register(self.source_url, self.source_token)[0] == 200
        self.successor_token = secrets.token_hex(20)

    def register(self, url, token=None):
        return self.registry.call(
            "POST", "/registry/register", {"id": self.id, "url": url, "agent_card": {"name": "Ada"}}, token
        )

    def source_serves(self):
        return self.register(self.source_url, self.source_token)[0] == 200

    def shown(self):
        status, shown = self.registry.call("GET", f"/workspaces/{self.id}", token=ADMIN_TOKEN)
        assert status == 200, shown
        return shown

    def admin(self, method, route, body):
        status, answer = self.registry.call(method, f"/admin/workspaces/{self.id}/{route}", body, ADMIN_TOKEN)
        assert status in (200, 201), answer
        return answer

    def input(self, **changes):
        """An execution's input for a plain revoke."""
        given = {
            "workspace_id": self.id,
            "expected_url": self.target_url,
            "operation_id": f"move-{self.id}",
            "timeout_seconds": PATIENCE,
        }
        return {**given, **changes}

    def hand_over_input(self, **changes):
        return self.input(successor_token_sha256=sha256(self.successor_token), **changes)

    def acted(self, function):
        """Waits for this function's answer; returns the first."""
        return wait_until(f"{function} for {self.id}", lambda: self.world.front.answered(self.id, function))[0][3]

    def calls(self, function):
        return [answer for (_, _, _, answer) in self.world.front.answered(self.id, function)]

    def on_call(self, fault):
        self.world.front.on(self.id, fault)


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def build_registry():
    """The executable that `cargo run` would run."""
    built = subprocess.run(
        ["cargo", "build", "--locked", "--package", "local", "--message-format", "json-render-diagnostics"],
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    artifacts = (json.loads(line) for line in built.stdout.splitlines())
    return next(a["executable"] for a in artifacts if a.get("executable") and a["target"]["name"] == "local")


def read_template():
    """The definition that template.yaml names, as text, and its substitutions: a function's ARN has its crate's name."""
    resources = yaml_parse((ROOT / "template.yaml").read_text(encoding="utf-8"))["Resources"]
    machine = resources["CutoverStateMachine"]["Properties"]

    def value(given):
        if given == {"Ref": "AWS::Partition"}:
            return "aws"
        resource, attribute = given["Fn::GetAtt"]
        assert attribute == "Arn"
        crate = resources[resource]["Metadata"]["BuildProperties"]["Binary"]
        return f"arn:aws:lambda:us-east-1:123456789012:function:{crate}"

    substitutions = {name: value(given) for name, given in machine["DefinitionSubstitutions"].items()}
    return (ROOT / machine["DefinitionUri"]).read_text(encoding="utf-8"), substitutions
