# What people run. `.ci/run` runs the same checks.

# Serve on http://127.0.0.1:8080 with the embedded model.
serve *args:
    cargo run --release -- serve {{args}}

# Every test of the workspace.
test:
    cargo test --workspace

# Format, lints, documentation.
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# The committed API description, from the code.
openapi:
    cargo run -- openapi > openapi/openapi.json

# Rules, alerts, manifests.
operations:
    deploy/checks/install
    deploy/checks/rules
    deploy/checks/manifests
    deploy/checks/model_store

# Everything that a change must pass.
ci:
    .ci/run

# The studio: types, unit tests, and the page in a browser where there is one.
studio:
    tests/browser/run

# Spadework beside PyTorch, ONNX Runtime and OpenVINO (see tests/peers/requirements.txt).
peers *args:
    cargo build --release
    python tests/peers/compare.py {{args}}
