"""An account with the rights of its policy, and what no double of AWS plays."""

from __future__ import annotations

import io
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from benchmark.compute.aws import permissions
from tests.support.aws_double import REGION, AwsDouble

EVERYTHING = (
    *permissions.STORE,
    *permissions.BATCH,
    *permissions.IMAGES,
    *permissions.FLEET,
    *permissions.CREATE,
)


class Account(AwsDouble):
    """moto, with AWS's own policies and the simulator of permissions, which it does not have."""

    reason = "No role."
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
        present = self.backend().describe_compute_environments(asked["computeEnvironments"])
        if not present:
            return None
        status = self.statuses.pop(0)
        (told,) = present
        return {"computeEnvironments": [told | {"status": status, "statusReason": self.reason}]}

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
