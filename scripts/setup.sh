# Sourced by the other scripts: a virtual environment in .venv with the package and its pinned dependencies.
# It needs only Python 3.11 to 3.13 and a package index. Set SECATEUR_VENV to create it elsewhere.
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=${SECATEUR_VENV:-$repository/.venv}
stamp=$venv/.secateur-$(cat "$repository/constraints.txt" "$repository/pyproject.toml" | sha256sum | cut -c1-16)
if [ ! -f "$stamp" ]; then
    echo "Setting up $venv (a few minutes, once) ..."
    "${PYTHON:-python3}" -m venv "$venv"
    # torch first and separately: its pin determines the build that satisfies every later requirement.
    "$venv/bin/pip" install --quiet --disable-pip-version-check --constraint "$repository/constraints.txt" torch
    "$venv/bin/pip" install --quiet --disable-pip-version-check --constraint "$repository/constraints.txt" \
        --editable "$repository[dev,onnx,analysis,tensorboard,slurm,search]"
    touch "$stamp"
fi
# Idle OpenMP threads that spin would slow down other processes.
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-PASSIVE}
