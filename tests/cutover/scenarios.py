"""The scenarios. Each function is one: it gets the world, and fails with an AssertionError. Names with a leading underscore
are helpers."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

from world import ADMIN_TOKEN, SCRATCH, wait_until

LONGEST = 43_200
# Of a Standard execution (https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html).
MOST_EVENTS = 25_000
# Seconds that the engine itself may take on a busy machine. AWS takes milliseconds.
ENGINE = 4


def _equal(found, expected):
    assert found == expected, f"{json.dumps(found)} is not {json.dumps(expected)}"


def _ends(ended, name):
    assert ended[0] == name, f"{ended[0]}, not {name}: {json.dumps(ended[1])}"
    return ended[1]


def _is_proof(output, workspace, since):
    proof = output["proof"]
    _equal((output["workspace_id"], proof["since_epoch"]), (workspace.id, since))
    assert proof["owner_epoch"] > since, proof
    _equal((proof["registered_by"], proof["url"]), ("owner", workspace.target_url))
    _equal(proof["owner_epoch"], workspace.shown()["owner_epoch"])


def _in_time(execution, given):
    """It took the given time, to the second, and at most one poll more."""
    assert given - 1 <= execution.seconds <= given + 1 + ENGINE, f"{execution.seconds} s of {given} s"


# The file.


def definition_passes_cfn_lint(world):
    # With the substitutions made: cfn-lint does not accept one in a resource's partition.
    definition = json.dumps(world.definition)
    machine = {"DefinitionString": definition, "RoleArn": "arn:aws:iam::123456789012:role/cutover"}
    resources = {"Cutover": {"Type": "AWS::StepFunctions::StateMachine", "Properties": machine}}
    template = SCRATCH / "definition.template.json"
    template.write_text(json.dumps({"Resources": resources}), encoding="utf-8")
    linted = subprocess.run([Path(sys.executable).with_name("cfn-lint"), template], stdout=subprocess.PIPE, text=True)
    assert linted.returncode == 0, linted.stdout


def every_call_is_bounded_and_every_error_caught(world):
    for name, state in world.definition["States"].items():
        if state["Type"] == "Task":
            # Longer than a function's time limit in template.yaml, so that no function still runs after it.
            assert state["TimeoutSeconds"] >= 15, name
            _equal(state["Catch"][-1]["ErrorEquals"], ["States.ALL"])
            for retry in state.get("Retry", []):
                assert retry["MaxAttempts"] <= 1 and "States.ALL" not in retry["ErrorEquals"], name


def every_state_can_be_reached(world):
    states, reached, ahead = world.definition["States"], set(), [world.definition["StartAt"]]
    while ahead:
        name = ahead.pop()
        if name in reached:
            continue
        reached.add(name)
        state = states[name]
        ahead += [state[key] for key in ("Next", "Default") if key in state]
        ahead += [rule["Next"] for rule in state.get("Choices", []) + state.get("Catch", [])]
    _equal(sorted(reached), sorted(states))


def longest_run_fits_into_the_history(world):
    # A wait, a look (5 events), a decision, two states for the clock, a decision. A state is 2 events: entered and left.
    events_per_poll = 2 + 5 + 2 + 4 + 2
    remaining, polls = LONGEST, 0
    while remaining > 0:
        polls += 1
        state = _next_state(world.definition["States"]["IsTimeLeft"], {"remaining": remaining, "polls": polls})
        waited = world.definition["States"][state]["Seconds"]
        assert waited <= max(1, remaining), f"{state} with {remaining} s left"
        remaining -= waited
    assert polls * events_per_poll < MOST_EVENTS - 1_000, f"{polls} polls"


def _next_state(choice, clock):
    def holds(rule):
        if "Or" in rule:
            return any(map(holds, rule["Or"]))
        value = clock[rule["Variable"].removeprefix("$.clock.")]
        compare = {
            "NumericGreaterThan": lambda limit: value > limit,
            "NumericLessThan": lambda limit: value < limit,
            "NumericLessThanEquals": lambda limit: value <= limit,
        }
        return next(test(rule[name]) for name, test in compare.items() if name in rule)

    return next((rule["Next"] for rule in choice["Choices"] if holds(rule)), choice["Default"])


# Its clock: first, because midnight does not wait.


def run_goes_on_past_midnight(world):
    ada = world.workspace()
    time.sleep(max(0, world.midnight - 3 - time.time()))
    assert time.time() < world.midnight, "too late to see midnight: the scenarios before it took too long"
    execution = world.start(ada.hand_over_input(timeout_seconds=6))
    _ends(execution.end(), "FlipTimedOut")
    _in_time(execution, 6)
    assert "PassMidnight" in execution.states(), execution.states()


# The target comes.


def revoke_and_the_target_claims(world):
    ada = world.workspace()
    execution = world.start(ada.input())
    _equal(ada.acted("admin-revoke"), {"status": "revoked", "workspace_id": ada.id, "revoked": 1, "epoch": 2})
    _equal(ada.register(ada.source_url, ada.source_token)[0], 401)
    status, claimed = ada.register(ada.target_url)
    _equal(status, 200)
    _is_proof(_ends(execution.end(), "Succeeded"), ada, since=2)
    _equal(ada.register(ada.target_url, claimed["auth_token"])[0], 200)


def hand_over_and_the_source_serves_until_the_target_has_taken_over(world):
    ada = world.workspace()
    execution = world.start(ada.hand_over_input())
    _equal(ada.acted("admin-hand-over")["status"], "hand_over_pending")
    assert ada.source_serves()
    _equal(ada.register(ada.target_url, ada.successor_token)[0], 200)
    assert not ada.source_serves()
    _is_proof(_ends(execution.end(), "Succeeded"), ada, since=2)
    _equal(len(ada.calls("admin-revoke")), 0)


def target_that_tries_from_the_start_gets_in(world):
    ada = world.workspace()
    tried = []

    def try_until_registered():
        while not tried or tried[-1] != 200:
            tried.append(ada.register(ada.target_url, ada.successor_token)[0])
            time.sleep(0.1)

    target = threading.Thread(target=try_until_registered)
    target.start()
    wait_until("the target is refused", lambda: tried)
    _is_proof(_ends(world.run(ada.hand_over_input()), "Succeeded"), ada, since=2)
    target.join()
    _equal(set(tried), {401, 200})


def workspace_without_an_owner_is_moved_too(world):
    ada = world.workspace(bootstrap="open")
    execution = world.start(ada.hand_over_input())
    ada.acted("admin-hand-over")
    _equal(ada.register("https://stranger.example")[0], 401)
    _equal(ada.register(ada.target_url, ada.successor_token)[0], 200)
    _is_proof(_ends(execution.end(), "Succeeded"), ada, since=2)


# The target does not come, or comes wrongly.


def revoke_and_nobody_comes_then_the_same_input_again(world):
    ada = world.workspace()
    given = ada.input(timeout_seconds=5)
    execution = world.start(given)
    report = _ends(execution.end(), "FlipTimedOut")
    _in_time(execution, 5)
    seen = report["last_state_seen"]
    _equal((seen["owner_epoch"], seen["epoch"], seen["url"]), (None, 2, ada.source_url))
    _equal(report["since"]["answer"]["epoch"], 2)
    # The door stays open, and the rerun finds the target that came late, without a second revoke.
    status, claimed = ada.register(ada.target_url)
    _equal(status, 200)
    _is_proof(_ends(world.run(given), "Succeeded"), ada, since=2)
    _equal([answer["revoked"] for answer in ada.calls("admin-revoke")], [1, 0])
    _equal(ada.register(ada.target_url, claimed["auth_token"])[0], 200)


def hand_over_and_nobody_comes_then_the_same_input_again(world):
    ada = world.workspace()
    given = ada.hand_over_input(timeout_seconds=5)
    execution = world.start(given)
    seen = _ends(execution.end(), "FlipTimedOut")["last_state_seen"]
    _in_time(execution, 5)
    _equal((seen["owner_epoch"], seen["url"]), (1, ada.source_url))
    assert ada.source_serves()
    # It was cancelled: a late registration changes nothing.
    _equal(ada.register(ada.target_url, ada.successor_token)[0], 401)
    _equal((ada.shown()["owner_epoch"], ada.shown()["epoch"]), (1, seen["epoch"]))
    again = world.start({**given, "timeout_seconds": 60})
    wait_until("the second hand-over", lambda: len(ada.calls("admin-hand-over")) == 3)
    answered = [answer["status"] for answer in ada.calls("admin-hand-over")]
    _equal(answered, ["hand_over_pending", "cancelled", "hand_over_pending"])
    _equal(ada.register(ada.target_url, ada.successor_token)[0], 200)
    _is_proof(_ends(again.end(), "Succeeded"), ada, since=4)


def hand_over_and_nobody_comes_then_at_the_epoch_that_was_expected(world):
    ada = world.workspace()
    given = ada.hand_over_input(timeout_seconds=1, expected_epoch=1)
    seen = _ends(world.run(given), "FlipTimedOut")["last_state_seen"]
    _ends(world.run(given), "EpochChanged")
    assert ada.source_serves()
    # As the runbook says.
    given = {**given, "operation_id": "again", "expected_epoch": seen["epoch"], "timeout_seconds": 60}
    again = world.start(given)
    wait_until("the second hand-over", lambda: ada.calls("admin-hand-over")[-1].get("status") == "hand_over_pending")
    _equal(ada.register(ada.target_url, ada.successor_token)[0], 200)
    _is_proof(_ends(again.end(), "Succeeded"), ada, since=seen["epoch"] + 1)


def revoke_and_the_target_registers_another_url(world):
    ada = world.workspace()
    given = ada.input(timeout_seconds=5)
    execution = world.start(given)
    ada.acted("admin-revoke")
    status, claimed = ada.register("https://typo.cloud-b.example")
    _equal(status, 200)
    seen = _ends(execution.end(), "FlipTimedOut")["last_state_seen"]
    _equal((seen["owner_epoch"], seen["url"]), (3, "https://typo.cloud-b.example"))
    # The target corrects it during the rerun. The operation is remembered, so nothing is revoked again.
    again = world.start({**given, "timeout_seconds": 60})
    wait_until("the second revoke", lambda: len(ada.calls("admin-revoke")) == 2)
    _equal(ada.register(ada.target_url, claimed["auth_token"])[0], 200)
    _is_proof(_ends(again.end(), "Succeeded"), ada, since=2)


def hand_over_and_the_target_registers_another_url(world):
    ada = world.workspace()
    execution = world.start(ada.hand_over_input(timeout_seconds=5))
    ada.acted("admin-hand-over")
    _equal(ada.register("https://typo.cloud-b.example", ada.successor_token)[0], 200)
    seen = _ends(execution.end(), "FlipTimedOut")["last_state_seen"]
    _equal((seen["owner_epoch"], seen["url"]), (3, "https://typo.cloud-b.example"))
    _equal(ada.register(ada.target_url, ada.successor_token)[0], 200)
    _is_proof(_ends(world.run(ada.hand_over_input()), "Succeeded"), ada, since=2)


def api_token_that_sets_the_expected_url_is_no_proof(world):
    ada = world.workspace()
    execution = world.start(ada.hand_over_input(timeout_seconds=5))
    ada.acted("admin-hand-over")
    caller = ada.admin("POST", "tokens", {})["auth_token"]
    _equal(ada.register(ada.target_url, caller)[0], 200)
    seen = _ends(execution.end(), "FlipTimedOut")["last_state_seen"]
    _equal((seen["owner_epoch"], seen["url"], seen["registered_by"]), (1, ada.target_url, "api"))
    # The mint moved the epoch, and the hand-over was cancelled all the same.
    _equal(ada.register(ada.target_url, ada.successor_token)[0], 401)
    assert ada.source_serves()


def api_token_that_corrects_the_url_after_the_take_over_is_no_proof(world):
    ada = world.workspace()
    execution = world.start(ada.input(timeout_seconds=5))
    ada.acted("admin-revoke")
    _equal(ada.register("https://stranger.example")[0], 200)
    caller = ada.admin("POST", "tokens", {})["auth_token"]
    _equal(ada.register(ada.target_url, caller)[0], 200)
    seen = _ends(execution.end(), "FlipTimedOut")["last_state_seen"]
    _equal((seen["owner_epoch"], seen["url"], seen["registered_by"]), (3, ada.target_url, "api"))


def successor_that_takes_over_as_the_time_is_up_has_taken_over(world):
    ada = world.workspace()

    def take_over_before_the_cancel(_function, payload):
        if payload.get("action") == "cancel":
            ada.register(ada.target_url, ada.successor_token)

    ada.on_call(take_over_before_the_cancel)
    execution = world.start(ada.hand_over_input(timeout_seconds=4))
    _is_proof(_ends(execution.end(), "Succeeded"), ada, since=2)
    _equal(ada.calls("admin-hand-over")[-1]["status"], "handed_over")
    assert not ada.source_serves()


def somebody_else_s_hand_over_is_not_cancelled(world):
    ada = world.workspace()
    execution = world.start(ada.hand_over_input(timeout_seconds=4))
    ada.acted("admin-hand-over")
    newer = world.workspace()
    ada.admin("POST", "hand-over", {"successor_token_sha256": newer.hand_over_input()["successor_token_sha256"]})
    _ends(execution.end(), "FlipTimedOut")
    _equal(ada.register(ada.target_url, ada.successor_token)[0], 401)
    _equal(ada.register(ada.target_url, newer.successor_token)[0], 200)


# The same input again.


def rerun_after_a_revoke_that_succeeded_leaves_the_target_alone(world):
    ada = world.workspace()
    execution = world.start(ada.input())
    ada.acted("admin-revoke")
    _, claimed = ada.register(ada.target_url)
    first = _ends(execution.end(), "Succeeded")
    for _ in range(2):
        again = _ends(world.run(ada.input()), "Succeeded")
        _equal(
            {**again["proof"], "seen_at": None},
            {**first["proof"], "seen_at": None},
        )
    _equal([answer["revoked"] for answer in ada.calls("admin-revoke")], [1, 0, 0])
    _equal(ada.register(ada.target_url, claimed["auth_token"])[0], 200)


def rerun_after_a_hand_over_that_succeeded_leaves_the_target_alone(world):
    ada = world.workspace()
    execution = world.start(ada.hand_over_input())
    ada.acted("admin-hand-over")
    ada.register(ada.target_url, ada.successor_token)
    _ends(execution.end(), "Succeeded")
    ada.admin("POST", "revoke-auth-tokens", {"scope": "api"})
    # Another operation is remembered now, but the successor is the owner, and that is enough.
    _is_proof(_ends(world.run(ada.hand_over_input()), "Succeeded"), ada, since=2)
    _equal(ada.register(ada.target_url, ada.successor_token)[0], 200)


def rerun_of_a_forgotten_revoke_does_no_harm(world):
    ada = world.workspace()
    execution = world.start(ada.input())
    ada.acted("admin-revoke")
    _, claimed = ada.register(ada.target_url)
    _ends(execution.end(), "Succeeded")
    ada.admin("POST", "revoke-auth-tokens", {"scope": "api"})
    report = _ends(world.run(ada.input()), "InvalidInput")
    assert "expected_url already" in report["last_failure"]["Cause"], report
    # With the epoch of the first run it can tell.
    _is_proof(_ends(world.run(ada.input(expected_epoch=1)), "Succeeded"), ada, since=1)
    # And after a newer migration it does nothing.
    newer = ada.input(operation_id="newer", expected_url="https://newer.example")
    moved = world.start(newer)
    wait_until("the newer revoke", lambda: any(answer.get("revoked") == 1 for answer in ada.calls("admin-revoke")[1:]))
    _equal(ada.register(ada.target_url, claimed["auth_token"])[0], 401)
    _, newest = ada.register("https://newer.example")
    _ends(moved.end(), "Succeeded")
    _ends(world.run(ada.input(expected_epoch=1)), "EpochChanged")
    _equal(ada.register("https://newer.example", newest["auth_token"])[0], 200)


def two_runs_of_one_input_at_once_are_one(world):
    ada = world.workspace()
    runs = [world.start(ada.input()) for _ in range(2)]
    wait_until("both revokes", lambda: len(ada.calls("admin-revoke")) == 2)
    _equal([answer["epoch"] for answer in ada.calls("admin-revoke")], [2, 2])
    _equal(ada.register(ada.target_url)[0], 200)
    for run in runs:
        _is_proof(_ends(run.end(), "Succeeded"), ada, since=2)


# The registry fails.


def registry_dies_in_the_middle_and_comes_back(world):
    ada, bert = (world.workspace(world.mortal_registry) for _ in range(2))
    revoke, hand_over = world.start(ada.input()), world.start(bert.hand_over_input())
    ada.acted("admin-revoke")
    bert.acted("admin-hand-over")
    world.mortal_registry.kill()
    for execution in (revoke, hand_over):
        wait_until("a poll that fails", lambda: _has_failed(execution))
    world.mortal_registry.start()
    _equal(ada.register(ada.target_url)[0], 200)
    _equal(bert.register(bert.target_url, bert.successor_token)[0], 200)
    _is_proof(_ends(revoke.end(), "Succeeded"), ada, since=2)
    _is_proof(_ends(hand_over.end(), "Succeeded"), bert, since=2)


def _has_failed(execution):
    events = execution.sfn.get_execution_history(executionArn=execution.arn)["events"]
    return any(event["type"] == "TaskFailed" for event in events)


def registry_that_is_away_at_first_is_waited_for(world):
    ada = world.workspace()
    left = [2]

    def away(_function, _payload):
        left[0] -= 1
        return "fail" if left[0] >= 0 else None

    ada.on_call(away)
    execution = world.start(ada.hand_over_input())
    ada.acted("admin-hand-over")
    ada.register(ada.target_url, ada.successor_token)
    _is_proof(_ends(execution.end(), "Succeeded"), ada, since=2)


def registry_that_does_not_answer_is_asked_again(world):
    ada = world.workspace()
    asked = []

    def hang_once(_function, _payload):
        asked.append(1)
        if len(asked) == 1:
            time.sleep(16)

    ada.on_call(hang_once)
    execution = world.start(ada.hand_over_input())
    ada.acted("admin-hand-over")
    ada.register(ada.target_url, ada.successor_token)
    _is_proof(_ends(execution.end(), "Succeeded"), ada, since=2)


def call_that_is_not_allowed_is_not_tried_again(world):
    ada = world.workspace()
    for denied in ("get-workspace", "admin-revoke"):
        ada.on_call(lambda function, _payload: "deny" if function == denied else None)
        execution = world.start(ada.input())
        report = _ends(execution.end(), "RegistryUnavailable")
        _equal(report["last_failure"]["Error"], "Lambda.AccessDeniedException")
        assert "WaitOneSecond" not in execution.states(), execution.states()
    assert ada.source_serves()


def registry_that_stays_away_is_unavailable(world):
    ada = world.workspace()
    for given in (ada.input(timeout_seconds=3), ada.hand_over_input(timeout_seconds=3)):
        ada.on_call(lambda *_: "fail")
        execution = world.start(given)
        report = _ends(execution.end(), "RegistryUnavailable")
        _in_time(execution, 3)
        _equal((report["since"]["acted"], report["last_state_seen"]), (False, None))
        _equal(report["last_failure"]["Error"], "Lambda.ServiceException")
        assert ada.source_serves()


def registry_that_goes_away_before_the_end_is_unavailable(world):
    ada = world.workspace()
    ada.on_call(lambda function, _payload: "fail" if ada.calls("admin-hand-over") else None)
    execution = world.start(ada.hand_over_input(timeout_seconds=3))
    report = _ends(execution.end(), "RegistryUnavailable")
    _equal((report["since"]["acted"], report["last_state_seen"]["owner_epoch"]), (True, 1))
    # The next run cancels what this one could not.
    ada.on_call(lambda *_: None)
    _ends(world.run(ada.hand_over_input(timeout_seconds=3)), "FlipTimedOut")
    _equal(ada.register(ada.target_url, ada.successor_token)[0], 401)
    assert ada.source_serves()


def answer_that_is_lost_does_no_harm(world):
    for make_input in ("input", "hand_over_input"):
        ada = world.workspace()
        lost = []

        def lose_the_first(function, _payload):
            if function != "get-workspace" and not lost:
                lost.append(function)
                return "lose"

        ada.on_call(lose_the_first)
        execution = world.start(getattr(ada, make_input)())
        wait_until("the second try", lambda: len(ada.calls(lost[0] if lost else "")) == 2)
        _equal([answer["epoch"] for answer in ada.calls(lost[0])], [2, 2])
        token = ada.successor_token if make_input == "hand_over_input" else None
        _equal(ada.register(ada.target_url, token)[0], 200)
        _is_proof(_ends(execution.end(), "Succeeded"), ada, since=2)


def hand_over_whose_answers_are_all_lost_is_cancelled(world):
    ada = world.workspace()
    # The call at the end that asks what is pending has an epoch that no workspace reaches.

    def lose_what_is_done(_function, payload):
        return "lose" if payload.get("successor_token_sha256") and payload["expected_epoch"] < 9 else None

    ada.on_call(lose_what_is_done)
    report = _ends(world.run(ada.hand_over_input(timeout_seconds=4)), "FlipTimedOut")
    _equal(report["last_state_seen"]["owner_epoch"], 1)
    _equal(ada.register(ada.target_url, ada.successor_token)[0], 401)
    assert ada.source_serves()


# It is refused.


def input_that_does_not_fit_is_invalid(world):
    ada = world.workspace()
    good, secret = ada.input(timeout_seconds=2), ada.hand_over_input()["successor_token_sha256"]
    wrong = [
        "text",
        [good],
        {},
        *({name: value for name, value in good.items() if name != missing} for missing in good),
        {**good, "sucessor_token_sha256": secret},
        {**good, "successor_token_sha256": None},
        {**good, "successor_token_sha256": secret, "expected_epoch": 1, "force": True},
        {**good, "expected_epoch": 0},
        {**good, "expected_epoch": "1"},
        {**good, "expected_url": ""},
        {**good, "expected_url": "target.example"},
        *({**good, "timeout_seconds": seconds} for seconds in (0, -1, 2.5, "5", True, None, LONGEST + 1, 10**12)),
        {**good, "workspace_id": 7},
    ]
    for given in wrong:
        report = _ends(world.run(given), "InvalidInput")
        _equal((report["since"]["acted"], report["last_failure"]["Error"]), (False, "InvalidInput"))
    _equal(ada.calls("get-workspace"), [])
    assert ada.source_serves()


def input_that_the_functions_refuse_is_invalid(world):
    ada = world.workspace()
    for given in (
        ada.input(successor_token_sha256="not a hash"),
        ada.input(operation_id=""),
        ada.input(operation_id="x" * 129),
        ada.input(expected_epoch=1.5),
        ada.hand_over_input(operation_id="a blank"),
    ):
        report = _ends(world.run(given), "InvalidInput")
        _equal(report["last_failure"]["Error"], "InvalidPayload")
        _equal(report["last_state_seen"]["epoch"], 1)
    ada.admin("POST", "revoke-auth-tokens", {"scope": "api", "operation_id": ada.input()["operation_id"]})
    for given in (ada.input(), ada.hand_over_input()):
        _equal(_ends(world.run(given), "InvalidInput")["last_failure"]["Error"], "OperationIdReused")
    assert ada.source_serves()


def url_that_the_source_sends_is_invalid(world):
    ada = world.workspace()
    for given in (ada.input(expected_url=ada.source_url), ada.hand_over_input(expected_url=ada.source_url)):
        report = _ends(world.run(given), "InvalidInput")
        assert "expected_url already" in report["last_failure"]["Cause"], report
        _ends(world.run({**given, "expected_epoch": 1}), "InvalidInput")
    _equal(ada.shown()["epoch"], 1)
    assert ada.source_serves()


def unknown_workspace_is_named(world):
    ada = world.workspace()
    world.front.registries["unheard-of"] = world.registry
    for given in (ada.input, ada.hand_over_input):
        report = _ends(world.run(given(workspace_id="unheard-of")), "WorkspaceNotFound")
        _equal(report["last_state_seen"], None)
    report = _ends(world.run(ada.input(workspace_id="unheard-of", expected_epoch=1)), "WorkspaceNotFound")
    _equal(report["since"]["acted"], False)


def removed_workspace_is_named(world):
    ada = world.workspace()
    _equal(ada.registry.call("DELETE", f"/workspaces/{ada.id}", {}, ADMIN_TOKEN)[0], 200)
    for given in (ada.input(), ada.hand_over_input()):
        _ends(world.run(given), "WorkspaceRemoved")


def epoch_that_is_not_the_expected_one_changes_nothing(world):
    ada = world.workspace()
    ada.admin("POST", "tokens", {})
    for given in (ada.input(expected_epoch=1), ada.hand_over_input(expected_epoch=1)):
        report = _ends(world.run(given), "EpochChanged")
        _equal((report["since"]["acted"], report["last_state_seen"]["epoch"]), (False, 2))
    assert ada.source_serves()


def expected_epoch_that_holds_is_acted_on(world):
    ada = world.workspace()
    execution = world.start(ada.hand_over_input(expected_epoch=1))
    ada.acted("admin-hand-over")
    _equal(ada.register(ada.target_url, ada.successor_token)[0], 200)
    _is_proof(_ends(execution.end(), "Succeeded"), ada, since=2)
    _is_proof(_ends(world.run(ada.hand_over_input(expected_epoch=1)), "Succeeded"), ada, since=1)


def workspace_that_never_stands_still_is_given_up(world):
    ada = world.workspace()
    ada.on_call(lambda function, _payload: function == "admin-revoke" and ada.admin("POST", "tokens", {}) and None)
    _ends(world.run(ada.input()), "EpochChanged")
    _equal([answer["errorType"] for answer in ada.calls("admin-revoke")], ["EpochChanged"] * 3)
    assert ada.source_serves()


def target_that_claims_before_the_revoke_is_not_revoked(world):
    ada = world.workspace(bootstrap="open")
    claimed = []

    def claim_first(function, _payload):
        if function == "admin-revoke" and not claimed:
            claimed.append(ada.register(ada.target_url))

    ada.on_call(claim_first)
    _is_proof(_ends(world.run(ada.input()), "Succeeded"), ada, since=1)
    (status, answer), = claimed
    _equal(status, 200)
    _equal(ada.register(ada.target_url, answer["auth_token"])[0], 200)
