"""The last column of docs/spec-support.md: why an attribute has no effect or is refused, which test proves the others.

Keys are rows of ``support.py`` (below ``services.*``); a test checks that every row is there and every test exists.
"""

from __future__ import annotations

WHY: dict[str, str] = {
    "annotations": "kept with the container; the runtime acts on none, nor does runc",
    "cpu_count": "Windows containers only",
    "cpu_percent": "Windows containers only",
    "credential_spec": "it gives Windows containers an Active Directory account; there is none on Linux",
    "deploy.endpoint_mode": "Swarm only",
    "deploy.labels": "Swarm only: they are the Swarm service's, not the containers'",
    "deploy.mode": "Swarm only; the number of containers is scale or deploy.replicas",
    "deploy.placement": "Swarm only: there is one machine",
    "deploy.resources.reservations.cpus": "Swarm only",
    "deploy.resources.reservations.generic_resources": "Swarm only",
    "deploy.rollback_config": "Swarm only",
    "deploy.update_config": "Swarm only",
    "isolation: anything else": "Linux knows only the default",
    "isolation: default": "it is the only one on Linux",
    "logging.driver: anything else": "a plug-in of Docker's engine, or a service of one cloud",
    "models": "Docker Model Runner is a part of Docker Desktop; run the model as a service, or as a provider",
    "platform: anything else": "its programs do not run here; register an emulator: qemu-user-static",
    "pre_start.*.per_replica": "docker compose refuses it too: a command runs once per service",
    "pull_refresh_after": "only says something beside pull_policy: refresh",
    "runtime: anything else": "there is one runtime; gVisor, Kata and nvidia are not it (for GPUs use gpus)",
    "runtime: io.containerd.runc.v2": "the name of Docker's own; containers here are made as it makes them",
    "runtime: runc": "the name of Docker's own; containers here are made as it makes them",
    "storage_opt": "a size of the container's root needs XFS with project quotas; use a tmpfs with size, or a volume",
    "use_api_socket": "there is no daemon whose API the container could talk to",
    "userns_mode: anything else": "containers here have the host's user ids",
    "userns_mode: host": "containers here have the host's user ids",
    "version": "obsolete: the format has one version",
    "volumes.*.bind.selinux": "where there is no SELinux",
    "volumes.*.consistency": "Docker Desktop on macOS only",
    "volumes.*.type: cluster": "Swarm only",
    "volumes.*.type: npipe": "Windows only",
}

_PROVEN_BY = {
    "e2e/test_attributes.py": """
        test_entrypoint_and_command command entrypoint
        test_user_and_groups user group_add
        test_working_dir_is_made working_dir
        test_hostname_and_domainname hostname domainname
        test_environment environment
        test_init_is_pid_1 init
        test_oom_score_adj oom_score_adj
        test_ulimits ulimits
        test_sysctls sysctls
        test_tty tty
        test_labels labels
        test_capabilities cap_add cap_drop
        test_read_only read_only
        test_no_new_privileges_and_seccomp_profile security_opt
        test_seccomp_unconfined_and_privileged privileged
        test_tmpfs_options_and_shm_size tmpfs shm_size
        test_devices_with_permissions devices
        test_a_device_that_is_not_given_is_out_of_reach device_cgroup_rules
        test_memory mem_limit mem_reservation
        test_swap_swappiness_and_oom_kill_disable memswap_limit mem_swappiness oom_kill_disable
        test_pids pids_limit
        test_cpu cpus cpu_shares cpu_period cpu_quota
        test_cpuset cpuset
        test_block_io_rates blkio_config blkio_config.device_read_bps blkio_config.device_read_iops
          blkio_config.device_write_bps blkio_config.device_write_iops
        test_block_io_weights blkio_config.weight blkio_config.weight_device
        test_deploy_resources_and_replicas deploy deploy.replicas deploy.resources.limits
          deploy.resources.reservations.memory
        test_cgroup_parent_and_namespace cgroup_parent cgroup
        test_real_time_bandwidth cpu_rt_runtime cpu_rt_period
        test_namespaces_of_another_service ipc pid
        test_namespaces_of_the_host uts
        test_network_mode_none network_mode
        test_namespaces_and_volumes_of_a_container_by_name volumes_from.*:~container:NAME
        test_stop_signal_and_grace_period stop_signal stop_grace_period
        test_restart_on_failure_counts restart deploy.restart_policy
        test_stdin_open stdin_open
        test_health_checks_of_every_form healthcheck
    """,
    "e2e/test_attributes_storage.py": """
        test_bind_recursive volumes.*.bind.recursive
        test_short_and_long_volumes volumes volumes.*.type:~bind volumes.*.type:~volume volumes.*.type:~tmpfs
        test_configs_and_secrets configs secrets
        test_gpus_and_cdi_devices gpus deploy.resources.reservations.devices
        test_volumes_from_a_service volumes_from volumes_from.*:~a~service
        test_platforms platform platform:~one~that~runs~here
    """,
    "e2e/test_attributes_logging.py": """
        test_json_file_attributes_and_rotation logging logging.driver:~json-file
        test_local_and_none logging.driver:~local logging.driver:~none
        test_syslog_udp logging.driver:~syslog
        test_journald logging.driver:~journald
        test_fluentd logging.driver:~fluentd
        test_gelf logging.driver:~gelf
    """,
    "e2e/test_attributes_services.py": """
        test_container_name container_name image
        test_env_file_and_label_file env_file label_file
        test_extends extends
        test_profiles profiles
        test_scale scale
        test_links links external_links
        test_mac_address mac_address networks.*.mac_address
        test_expose_publishes_nothing expose
        test_dns_and_extra_hosts dns dns_search dns_opt extra_hosts
        test_attach_false_keeps_the_logs_away attach
        test_depends_on depends_on
    """,
    "e2e/test_hooks.py": """
        test_pre_start_runs_before_and_sees_the_services_volumes pre_start
        test_post_start_runs_with_its_own_settings post_start
        test_hooks_run_with_every_verb_that_starts_or_stops pre_stop
    """,
    "e2e/test_providers.py": "test_what_it_says_reaches_the_dependents provider",
    "e2e/test_network.py": """
        test_published_ports ports
        test_two_networks networks networks.*.priority networks.*.gw_priority
        test_names networks.*.aliases
        test_static_addresses_and_subnets networks.*.ipv4_address
    """,
    "e2e/test_network_kinds.py": """
        test_both_families_of_addresses networks.*.ipv6_address networks.*.link_local_ips
        test_interface_names_prefixes_and_sysctls networks.*.interface_name networks.*.driver_opts
    """,
    "e2e/test_build.py": """
        test_all_keys build
    """,
    "e2e/test_images.py": """
        test_volumes_of_images volumes.*.image volumes.*.type:~image
        test_policies pull_policy
    """,
    "compose/watch/test_rules.py": "develop",
    "compose/spec/test_spec_errors.py": "test_unsupported_attributes_are_refused_by_name runtime isolation userns_mode",
}


def _proofs() -> dict[str, str]:
    """Row → ``file::test``. A word that begins with ``test_`` names the test of those after it; ``~`` is a blank."""
    found = {}
    for path, text in _PROVEN_BY.items():
        test = ""
        for word in text.split():
            if word.startswith("test_"):
                test = f"::{word}"
            else:
                found[word.replace("~", " ")] = f"{path}{test}"
    return found


PROOFS: dict[str, str] = _proofs()
