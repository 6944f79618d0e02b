# docker build -t polymodal .
# docker run --rm -v "$PWD:/data" --user "$(id -u):$(id -g)" polymodal fit houses.csv --target price
FROM python:3.12-slim

# LightGBM needs the system's OpenMP.
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home polymodal

WORKDIR /opt/polymodal
COPY constraints.txt ./
# torch goes first, as the CPU build. For a GPU: --build-arg TORCH_INDEX=https://pypi.org/simple
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN python -m pip install --no-cache-dir --index-url "$TORCH_INDEX" "$(grep '^torch==' constraints.txt)"
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN python -m pip install --no-cache-dir -c constraints.txt .

# Any user may run it: what is cached is written below /tmp.
ENV HOME=/tmp
USER polymodal
WORKDIR /data
ENTRYPOINT ["polymodal"]
CMD ["--help"]
