"""Which images are built and pulled, before containers are decided about. Pure.

What is built or pulled is looked at again afterwards: an image that has changed recreates its containers by the same
rules as ever. The policies are the Compose specification's (``pull_policy``); what has a ``build`` section is built
rather than pulled unless the policy says otherwise, as docker compose does.
"""

from __future__ import annotations

from compose.errors import UsageError
from compose.plan.actions import BuildImage, PullImage
from compose.plan.hooks import hook_images
from compose.plan.plan import PlanBuilder
from compose.plan.select import select_services
from compose.record import EMPTY, record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from compose.plan.desired import Desired, DesiredService
    from compose.plan.intent import ImageIntent
    from compose.plan.observed import Observed, ObservedImage
    from compose.plan.plan import Plan

POLICIES = ("always", "never", "missing", "if_not_present", "build")  # and the ages below
_AGES = {"daily": 86400, "weekly": 7 * 86400}
_UNITS = {"w": 7 * 86400, "d": 86400, "h": 3600, "m": 60, "s": 1}


@record
class ImageSteps:
    """Image reference → the step after which it is there."""

    steps: Mapping[str, int] = EMPTY


def plan_images(desired: Desired, observed: Observed, intent: ImageIntent) -> Plan:
    """The plan that brings the images of the selected services; empty when all are there and none is too old."""
    builder = PlanBuilder()
    write_images(builder, desired, observed, intent)
    return builder.build(desired.project, desired)


def write_images(builder: PlanBuilder, desired: Desired, observed: Observed, intent: ImageIntent) -> ImageSteps:
    """The same into a plan that goes on. Raises UsageError for builds that need each other in a circle."""
    writer = _Writer(builder, desired, observed, intent)
    names = select_services(desired, intent.services, dependencies=not intent.no_deps)
    for name in names:
        writer.pull(name)
    for name in names:
        writer.build(name)
    return ImageSteps(writer.steps)


def seconds_of(policy: str) -> int | None:
    """The age at which an image of this policy is pulled again, in seconds; None for policies without one."""
    if policy in _AGES:
        return _AGES[policy]
    if not policy.startswith("every_"):
        return None
    total, number = 0, ""
    for sign in policy.removeprefix("every_"):
        if sign.isdigit():
            number += sign
        else:
            total += int(number or 0) * _UNITS.get(sign, 0)
            number = ""
    return total


def image_mounts(service: DesiredService) -> list[str]:
    """The images that a service mounts as volumes (``type: image``)."""
    mounts = service.config.get("volumes") or ()
    return [mount["source"] for mount in mounts if mount.get("type") == "image" and mount.get("source")]


class _Writer:
    """One step per image: pulls first, then builds, each behind the builds that its contexts name."""

    def __init__(self, builder: PlanBuilder, desired: Desired, observed: Observed, intent: ImageIntent) -> None:
        self.builder = builder
        self.intent = intent
        self.services = {service.name: service for service in desired.services}
        self.have = {image.reference: image for image in observed.images}
        self.there = {container.service for container in observed.containers if not container.oneoff}
        self.built = {one.image for one in desired.services if self._is_built(one)}
        self.steps: dict[str, int] = {}
        self.made: dict[str, int] = {}  # service -> step that builds it, 0 when there is nothing to do
        self.same: dict[str, int] = {}  # build section -> step that builds by it
        self.path: list[str] = []

    def _is_built(self, service: DesiredService) -> bool:
        return bool(service.config.get("build")) and not self.intent.no_build

    def _policy(self, service: DesiredService) -> str:
        return self.intent.pull or str(service.config.get("pull_policy") or "")

    # pulls

    def pull(self, name: str) -> None:
        service = self.services[name]
        if service.config.get("provider"):
            return
        if service.config.get("image"):
            reason = self._why_pull(service)
            if reason:
                self._pull(service.image, service, reason)
        for image in (*image_mounts(service), *sorted(hook_images(service))):
            if image not in self.have and image != service.image:
                self._pull(image, service, f"not in the store, used by {name}")

    def _pull(self, image: str, service: DesiredService, reason: str) -> None:
        if image in self.steps:
            return
        needless = service.name in self.there and image not in self.have
        required = not (self._is_built(service) or image in self.have or needless)
        platform = str(service.config.get("platform") or "")
        self.steps[image] = self.builder.add(PullImage(image, platform, required or self._must(service)), reason)

    def _must(self, service: DesiredService) -> bool:
        """Whether a pull that fails is an error although there is an image already, or one can be built."""
        return self._policy(service) == "always" and not self._is_built(service)

    def _why_pull(self, service: DesiredService) -> str:
        """Empty: not pulled."""
        policy, image = self._policy(service), self.have.get(service.image)
        if policy == "always":
            return "--pull always" if self.intent.pull else "pull_policy: always"
        if policy in ("never", "build"):
            return ""
        if image is not None:
            return self._why_old(policy, image)
        if service.image in self.built and policy not in ("missing", "if_not_present"):
            return ""
        return "not in the store"

    def _why_old(self, policy: str, image: ObservedImage) -> str:
        age = seconds_of(policy)
        if age is None or self.intent.now - image.tagged <= age:
            return ""
        return f"pull_policy: {policy}, and it is {_age(self.intent.now - image.tagged)} old"

    # builds

    def build(self, name: str) -> int:
        """The step that builds a service's image; 0 when it need not be built."""
        if name in self.made:
            return self.made[name]
        service = self.services[name]
        if name in self.path:
            circle = " → ".join([*self.path[self.path.index(name) :], name])
            raise UsageError(f"cannot build {name}: it needs itself: {circle}", hint="look at additional_contexts")
        if not self._is_built(service):
            return 0
        self.path.append(name)
        after = [self.build(other) for other in build_edges(service) if other in self.services]
        self.path.pop()
        reason = self._why_build(service, any(after))
        self.made[name] = self._build(service, reason, after) if reason else 0
        return self.made[name]

    def _build(self, service: DesiredService, reason: str, after: Sequence[int]) -> int:
        action = BuildImage(service.image, service.name, self.intent.options)
        same = repr(service.config["build"])  # the second finds all in the cache
        needed = [*after, self.steps.get(service.image, 0), self.same.get(same, 0)]
        step = self.same[same] = self.builder.add(action, reason, needed)
        self.steps[service.image] = step
        return step

    def _why_build(self, service: DesiredService, renewed: bool) -> str:
        """Empty: not built. One whose pull was planned is built only if that fails: the next look decides."""
        if self.intent.build:
            return "--build"
        policy = self._policy(service)
        if policy == "build":
            return "pull_policy: build"
        if service.image in self.have:
            return "what it is built on is built" if renewed else ""
        return "" if self.intent.first_look and service.image in self.steps else "no image yet"


def build_edges(service: DesiredService) -> list[str]:
    """The services whose images a build needs: ``additional_contexts: {name: service:x}``."""
    build = service.config.get("build") or {}
    contexts = build.get("additional_contexts") or {}
    values = contexts.values() if hasattr(contexts, "values") else [str(one).partition("=")[2] for one in contexts]
    return [str(value)[8:] for value in values if str(value).startswith("service:")]


def _age(seconds: float) -> str:
    for name, unit in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * unit:
            return f"{int(seconds // unit)} {name}"
    return f"{int(seconds)} seconds"
