"""The jobs as tasks of b2luigi."""

import subprocess
from pathlib import Path

import b2luigi


class Job(b2luigi.Task):
    """One of them."""

    number = b2luigi.IntParameter()
    batch_system = "htcondor"
    htcondor_settings = {"request_memory": "32", "request_disk": "1024"}  # noqa: RUF012

    def output(self):
        yield self.add_to_output("done")

    def run(self):
        subprocess.run(["sh", "job.sh", str(self.number)], check=True)
        Path(self.get_output_file_name("done")).touch()


if __name__ == "__main__":
    n_jobs = int(Path("n_jobs").read_text())
    b2luigi.process([Job(number=number) for number in range(n_jobs)], batch=True, workers=n_jobs)
