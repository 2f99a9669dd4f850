"""What init-compute --create makes and --destroy removes, against moto's services."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from benchmark.compute.aws import permissions
from benchmark.compute.aws.clients import Aws
from benchmark.compute.aws.resources import Site, create, destroy, resources_of
from benchmark.config import Config
from benchmark.errors import BenchmarkError, ConfigError
from tests.support.aws_double import KEYS, REGION, AwsDouble

KINDS = [
    *("bucket", "repository", "service-linked role", "service-linked role", "role", "role"),
    *("instance profile", "security group"),
    *("launch template", "launch template", "compute environment", "job queue"),
]

TAGGED = {"automl-benchmark": "0123456789abcdef"}
EVERYTHING = (
    *permissions.STORE,
    *permissions.BATCH,
    *permissions.IMAGES,
    *permissions.FLEET,
    *permissions.CREATE,
)


class Account(AwsDouble):
    """moto, with AWS's own policies and the simulator of permissions, which it does not have."""

    denied: frozenset[str] = frozenset()
    policy: tuple[dict[str, Any], ...] = ({"Action": EVERYTHING, "Resource": "*"},)

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.statuses: list[str] = []

    def _serve(self, environ: dict[str, Any], start: Any) -> Any:
        """moto does not keep the tags that a bucket is made with, as S3 does."""
        tags = b"<Key>automl-benchmark</Key>"
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        answer = super()._serve(environ, start)
        if b"<CreateBucketConfiguration" in body and tags in body:
            name = environ["PATH_INFO"].strip("/")
            kept = {"automl-benchmark": "init-compute"}
            from moto.s3.models import s3_backends

            s3_backends["123456789012"]["aws"].put_bucket_tagging(name, kept)
        return answer

    def _describecomputeenvironments(self, asked: dict[str, Any]) -> dict[str, Any] | None:
        """moto's are valid at once."""
        if not self.statuses:
            return None
        status = self.statuses.pop(0)
        (told,) = self.backend().describe_compute_environments(asked["computeEnvironments"])
        return {"computeEnvironments": [told | {"status": status, "statusReason": "No role."}]}

    def _updatecomputeenvironment(self, asked: dict[str, Any]) -> None:
        """moto keeps the size; the rest is its own."""
        present = self.backend().get_compute_environment(asked["computeEnvironment"])
        present.compute_resources |= asked.get("computeResources", {})

    @staticmethod
    def backend() -> Any:
        from moto.batch.models import batch_backends

        return batch_backends["123456789012"][REGION]

    def _attachrolepolicy(self, asked: dict[str, Any]) -> str:
        return ""

    def _detachrolepolicy(self, asked: dict[str, Any]) -> str:
        return ""

    def _createservicelinkedrole(self, asked: dict[str, Any]) -> str:
        """moto gives such roles names of its own making."""
        from moto.iam.models import iam_backends

        named = {"spot": "AWSServiceRoleForEC2Spot", "ec2fleet": "AWSServiceRoleForEC2Fleet"}
        name = named[asked["AWSServiceName"].partition(".")[0]]
        backend = iam_backends["123456789012"]["aws"]
        role = backend.create_role(name, "{}", "/", None, "", [], "3600")
        return (
            "<CreateServiceLinkedRoleResult><Role>"
            f"<Arn>{role.arn}</Arn><RoleName>{name}</RoleName><RoleId>x</RoleId>"
            "<Path>/</Path><CreateDate>2026-01-01T00:00:00Z</CreateDate>"
            "</Role></CreateServiceLinkedRoleResult>"
        )

    def _simulateprincipalpolicy(self, asked: dict[str, Any]) -> str:
        """An action is asked for every resource; none named means all of them."""
        names = [value for key, value in asked.items() if key.startswith("ActionNames.")]
        places = [value for key, value in asked.items() if key.startswith("ResourceArns.")] or ["*"]
        members = "".join(
            f"<member><EvalActionName>{name}</EvalActionName><EvalDecision>"
            f"{'allowed' if all(self._may(name, one) for one in places) else 'implicitDeny'}"
            "</EvalDecision></member>"
            for name in names
        )
        return (
            "<SimulatePrincipalPolicyResult><EvaluationResults>"
            f"{members}</EvaluationResults></SimulatePrincipalPolicyResult>"
        )

    def _may(self, action: str, place: str) -> bool:
        return action not in self.denied and any(
            action in one["Action"] and fnmatchcase(place, one["Resource"]) for one in self.policy
        )


@pytest.fixture
def account(aws: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Account]:
    from moto.moto_api._internal.models import moto_api_backend

    moto_api_backend.reset()
    for name, value in KEYS.items():
        aws.setenv(name, value)
    with Account(tmp_path) as double:
        aws.setenv("AWS_ENDPOINT_URL", double.endpoint)
        yield double


@pytest.fixture
def site(account: Account, make_config: Callable[..., Config]) -> Site:
    config = make_config(s3_bucket_root="my-results", s3_folder="a/", cluster_size=7, cores=2)
    return Site(Aws(), config, pause_s=0.01)


def test_all_is_made_once_and_removed_again(site: Site, account: Account) -> None:
    told = list(create(site))
    assert [one.what.rpartition(" ")[0] for one in told] == KINDS
    assert {one.done for one in told} == {"made"}
    assert {one.key for one in told if one.key} == {
        *("s3_bucket_root", "ecr_repo", "ec2_template", "job_queue_id")
    }
    (environment,) = account.client().describe_compute_environments()["computeEnvironments"]
    resources = environment["computeResources"]
    assert (resources["type"], resources["maxvCpus"]) == ("SPOT", 14)
    before = account.calls.copy()
    assert {one.done for one in create(site)} == {"is there"}
    again = account.calls - before
    assert not [name for name in again if name.startswith("create")]
    account_wide = "service-linked role"
    gone = {one.what: one.done for one in destroy(site)}
    ours = {what: done for what, done in gone.items() if not what.startswith(account_wide)}
    assert set(ours.values()) == {"removed"}
    assert len(ours) == len(KINDS) - 2
    assert [one.title for one in resources_of(site) if one.find()] == [
        f"{account_wide} AWSServiceRoleForEC2Spot",
        f"{account_wide} AWSServiceRoleForEC2Fleet",
    ]


@pytest.mark.parametrize("killed_at", [8])
def test_what_was_killed_half_way_completes(site: Site, account: Account, killed_at: int) -> None:
    for number, _ in enumerate(create(site), 1):
        if number == killed_at:
            break
    assert {one.done for one in create(site)} == {"is there", "made"}
    assert all(one.find() for one in resources_of(site))


def test_a_bucket_that_was_made_half_is_completed_and_goes_away(
    site: Site, account: Account
) -> None:
    account.fault = lambda name, number: (
        (403, "AccessDenied") if (name, number) == ("my-results", 3) else None
    )
    with pytest.raises(BenchmarkError, match="s3:PutPublicAccessBlock"):
        list(create(site))
    assert next(create(site)).done == "is there"
    assert account.client("s3").get_public_access_block(Bucket="my-results")
    assert {one.what: one.done for one in destroy(site)} == {"bucket my-results": "removed"}


def test_an_environment_is_waited_for_and_an_invalid_one_said(site: Site, account: Account) -> None:
    for told in create(site):
        if told.what.startswith("compute environment"):
            break
    account.statuses = ["CREATING"] * 9
    assert [one.done for one in create(site)][-2:] == ["is there", "made"]
    assert account.statuses == []
    account.statuses = ["INVALID"] * 9
    with pytest.raises(BenchmarkError, match=r"-spot is invalid: No role; mend that, remove it"):
        list(create(site))


def test_changed_settings_are_followed_or_said_and_leave_nothing_behind(
    site: Site, account: Account, make_config: Callable[..., Config]
) -> None:
    list(create(site))
    batch = account.client()
    for name, tags in (("automl-benchmark-h2o", TAGGED), ("automl-benchmark-x", {})):
        properties = {"image": "x", "vcpus": 1, "memory": 128}
        batch.register_job_definition(
            jobDefinitionName=name, type="container", containerProperties=properties, tags=tags
        )
    keys = {"s3_bucket_root": "my-results", "s3_folder": "a/", "cores": 2}
    larger = make_config(**keys, cluster_size=9, instance_types=["c5.large"])
    told = {one.what: one.done for one in create(Site(Aws(), larger, pause_s=0.01))}
    assert told["compute environment automl-benchmark-spot"] == (
        "now has 18 vCPUs at most and keeps the instance types optimal; --destroy and --create "
        "make it with c5.large"
    )
    dear = Site(Aws(), make_config(**keys, cluster_size=9, on_demand=True), pause_s=0.01)
    told = {one.what: one.done for one in create(dear)}
    assert told["compute environment automl-benchmark-on-demand"] == "made"
    assert told["job queue automl-benchmark"] == "now over automl-benchmark-on-demand"
    gone = {one.what: one.done for one in destroy(dear)}
    assert gone["job definitions automl-benchmark-*"] == "removed"
    assert batch.describe_compute_environments()["computeEnvironments"] == []
    left = batch.describe_job_definitions(status="ACTIVE")["jobDefinitions"]
    assert [one["jobDefinitionName"] for one in left] == ["automl-benchmark-x"]


def test_the_machines_may_reach_the_store_and_nothing_else(site: Site, account: Account) -> None:
    list(create(site))
    told = account.client("iam").get_role_policy(
        RoleName="automl-benchmark-machines", PolicyName="store-and-queue"
    )["PolicyDocument"]
    places = {place for one in told["Statement"] for place in one["Resource"]}
    assert "arn:aws:s3:::my-results/a/*" in places
    assert "*" not in places
    data = account.client("ec2").describe_launch_template_versions(
        LaunchTemplateName="automl-benchmark-machines"
    )["LaunchTemplateVersions"][0]["LaunchTemplateData"]
    assert data["MetadataOptions"]["HttpTokens"] == "required"
    assert data["IamInstanceProfile"] == {"Name": "automl-benchmark-machines"}


def test_what_is_somebody_elses_or_full_stays(site: Site, account: Account) -> None:
    account.client("iam").create_role(
        RoleName="automl-benchmark-machines", AssumeRolePolicyDocument="{}"
    )
    list(create(site))
    account.client("s3").put_object(Bucket="my-results", Key="x", Body=b"1")
    done = {one.what: one.done for one in destroy(site)}
    assert done["role automl-benchmark-machines"] == "left, for it is not init-compute's own"
    assert done["bucket my-results"].startswith("kept: it is not empty")
    assert account.client("s3").list_buckets()["Buckets"][0]["Name"] == "my-results"


def test_a_bucket_of_somebody_else_is_a_sentence(site: Site, account: Account) -> None:
    account.fault = lambda name, _: (403, "Forbidden") if name == "my-results" else None
    with pytest.raises(ConfigError, match="bucket my-results is somebody else's"):
        list(create(site))


def test_missing_permissions_are_named_before_anything_is_done(account: Account) -> None:
    config = Config(s3_bucket_root="my-results")
    assert permissions.check(Aws(), config, permissions.STORE + permissions.CREATE) is None
    account.denied = frozenset(("iam:CreateRole", "batch:CreateJobQueue"))
    with pytest.raises(ConfigError, match=r"may not do batch:CreateJobQueue, iam:CreateRole;"):
        permissions.check(Aws(), config, permissions.CREATE)
    account.fault = lambda name, _: (403, "AccessDenied") if name.startswith("simulate") else None
    note = permissions.check(Aws(), config, permissions.CREATE)
    assert note
    assert "iam:SimulatePrincipalPolicy" in note


def test_the_policy_of_the_documents_is_enough_and_for_its_own_bucket_only(
    account: Account,
) -> None:
    page = (Path(__file__).parents[3] / "docs/aws.md").read_text()
    text = page.partition("## Minimum IAM policy")[2].partition("```json")[2].partition("```")[0]
    account.policy = tuple(json.loads(text)["Statement"])
    wanted = permissions.STORE + permissions.BATCH + permissions.IMAGES + permissions.FLEET
    config = Config(s3_bucket_root="my-results", s3_folder="a/")
    assert permissions.check(Aws(), config, (*wanted, "iam:PassRole")) is None
    other = Config(s3_bucket_root="another")
    with pytest.raises(ConfigError, match="s3:DeleteObject, s3:GetObject, s3:ListBucket, s3:Put"):
        permissions.check(Aws(), other, wanted)


@pytest.mark.integration
def test_the_command_makes_sends_and_removes(
    account: Account, program: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "work/batch.config").write_text(
        '{"s3_bucket_root": "my-results", "studies": ["starter"], "frameworks": ["constant"],'
        ' "compute": {"*": "baremetal"}, "instance_types": ["c5.large"], "cores": 1,'
        ' "memory": 1500, "ec2_ssh_key": "~/.ssh/id"}'
    )
    made = program("init-compute", "--create")
    assert made.returncode == 0, made.stderr
    assert "launch template automl-benchmark-machines: made" in made.stderr
    assert "'ec2_ssh_key' is set and not used" in made.stderr
    assert '"ec2_template": "lt-' in made.stderr
    assert "data sets in the store" in made.stdout
    again = program("refresh-compute")
    assert "(up to date)" in again.stdout
    assert "data sets" not in again.stdout
    assert program("init-compute", "--destroy").returncode == 2
    gone = program("init-compute", "--destroy", "--yes")
    assert gone.returncode == 0, gone.stderr
    assert "bucket my-results: kept: it is not empty" in gone.stderr
    assert "launch template automl-benchmark-machines: removed" in gone.stderr
    assert "KEY" not in "".join(path.name for path in (tmp_path / "work").iterdir())


def test_a_run_from_the_making_of_its_bucket_to_its_removal(
    account: Account, typed: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "batch.config").write_text(
        '{"s3_bucket_root": "my-results", "studies": ["starter"], "frameworks": ["constant"],'
        ' "seeds": [75], "compute": {"*": "local"}, "cores": 1, "memory": 1500, "runtime": 5,'
        ' "hard_limit": 60}'
    )

    def told(*words: str) -> dict[str, Any]:
        done = typed(tmp_path, *words, "--json")
        assert done.returncode == 0, done.stderr
        facts: dict[str, Any] = json.loads(done.stdout)
        return facts

    assert told("init-compute", "--create")["made"][0]["done"] == "made"
    assert told("estimate", "--dataset", "cpu")["tasks"] == 1
    assert told("execute-compute", "--dataset", "cpu")["success"] == 1
    assert told("status", "--dataset", "cpu")["success"] == 1
    told("fetch-results")
    assert "cpu" in (tmp_path / "compiled_results.csv").read_text()
    told("clean-s3", "--yes")
    told("init-compute", "--destroy", "--yes")
    assert account.client("s3").list_buckets()["Buckets"] == []
