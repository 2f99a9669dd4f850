"""The bucket of data, code, records and logs, and the repository of the images."""

from __future__ import annotations

from typing import Any

from benchmark.compute.aws.clients import RefusedError
from benchmark.compute.aws.resources.site import Resource, Site, as_pairs, is_tagged
from benchmark.compute.images import REPOSITORY
from benchmark.errors import ConfigError

_NO_BUCKET = ("404", "NoSuchBucket", "NotFound")


class Bucket(Resource):
    kind = "bucket"

    def __init__(self, site: Site) -> None:
        super().__init__(site, site.bucket, "s3_bucket_root")

    def find(self) -> str | None:
        try:
            answer = self.found(_NO_BUCKET, "s3", "head_bucket", Bucket=self.name)
        except RefusedError as error:
            if error.code not in ("403", "AccessDenied", "Forbidden"):
                raise
            raise ConfigError(
                f"The bucket {self.name} is someone else's, or closed to these credentials; name "
                "another in 's3_bucket_root', or allow s3:ListBucket on it."
            ) from None
        return None if answer is None else self.name

    def make(self) -> str:
        """The tag comes with the bucket, so that one that was made half is known as ours."""
        if self.find() is None:
            place: dict[str, Any] = {"Tags": as_pairs()}
            if self.aws.region != "us-east-1":
                place["LocationConstraint"] = self.aws.region
            self.aws.call("s3", "create_bucket", Bucket=self.name, CreateBucketConfiguration=place)
        elif not self.is_ours():
            return self.name
        closed = dict.fromkeys(
            (
                *("BlockPublicAcls", "IgnorePublicAcls"),
                *("BlockPublicPolicy", "RestrictPublicBuckets"),
            ),
            True,
        )
        self.site.propagated(
            lambda: self.aws.call(
                "s3",
                "put_public_access_block",
                Bucket=self.name,
                PublicAccessBlockConfiguration=closed,
            )
        )
        return self.name

    def is_ours(self) -> bool:
        tagging = self.found(("NoSuchTagSet",), "s3", "get_bucket_tagging", Bucket=self.name)
        return any(one in as_pairs() for one in (tagging or {}).get("TagSet", []))

    def remove(self) -> str | None:
        if self.aws.call("s3", "list_objects_v2", Bucket=self.name, MaxKeys=1).get("KeyCount"):
            return "it is not empty; clean-s3 empties it of this program's objects"
        self.aws.call("s3", "delete_bucket", Bucket=self.name)
        return None


class Repository(Resource):
    kind = "repository"

    def __init__(self, site: Site) -> None:
        named = site.config.ecr_repo or REPOSITORY
        # A full name begins with a registry's host.
        host, _, rest = named.partition("/")
        super().__init__(site, rest if "." in host and rest else named, "ecr_repo")

    def find(self) -> str | None:
        described = self.found(
            ("RepositoryNotFoundException",),
            "ecr",
            "describe_repositories",
            repositoryNames=[self.name],
        )
        return str(described["repositories"][0]["repositoryUri"]) if described else None

    def create(self) -> str:
        tags = as_pairs()
        made = self.aws.call("ecr", "create_repository", repositoryName=self.name, tags=tags)
        return str(made["repository"]["repositoryUri"])

    def is_ours(self) -> bool:
        described = self.aws.call("ecr", "describe_repositories", repositoryNames=[self.name])
        arn = described["repositories"][0]["repositoryArn"]
        tags = self.aws.call("ecr", "list_tags_for_resource", resourceArn=arn)["tags"]
        return is_tagged(tags)

    def remove(self) -> str | None:
        self.aws.call("ecr", "delete_repository", repositoryName=self.name, force=True)
        return None
