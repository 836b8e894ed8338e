"""The settings of gunicorn: the hook that the documentation of prometheus_client asks for."""

from prometheus_client import multiprocess

control_socket_disable = True


def child_exit(server, worker):
    multiprocess.mark_process_dead(worker.pid)
