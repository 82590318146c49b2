# What is installed besides is said by EXTRAS, and where torch comes from by TORCH: on a CPU its own
# wheels, for CUDA for example
#   docker build --build-arg TORCH=https://download.pytorch.org/whl/cu128 -t behemoth .
#   docker run --gpus all -v "$PWD:/work" behemoth gen --facts 1e6 --out corpus
FROM rust:1-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends python3-pip python3-venv \
    && rm -rf /var/lib/apt/lists/*
COPY . /source
WORKDIR /source
RUN python3 -m venv /build && /build/bin/pip install 'maturin>=1.9,<2' \
    && /build/bin/maturin build --release --locked --out /wheels

FROM python:3.12-slim-bookworm
ARG EXTRAS=train,report
ARG TORCH=https://download.pytorch.org/whl/cpu
COPY --from=build /wheels /wheels
RUN wheel="$(echo /wheels/*.whl)" \
    && pip install --no-cache-dir --index-url "$TORCH" torch \
    && pip install --no-cache-dir "${wheel}[${EXTRAS}]" \
    && useradd --create-home --uid 1000 behemoth \
    && install --directory --owner behemoth --group behemoth /work
USER behemoth
WORKDIR /work
ENTRYPOINT ["behemoth"]
