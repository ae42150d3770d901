# wsol on a CPU:
#
#   docker build --tag wsol .
#   docker run --rm --user "$(id -u):$(id -g)" --volume "$PWD:/data" wsol predict photos/ --out boxes/
FROM python:3.12-slim

# The CPU wheels of torch first: the build of PyPI brings about 6 GB of CUDA libraries.
RUN pip install --no-cache-dir torch torchvision --index-url https://download.pytorch.org/whl/cpu

COPY pyproject.toml README.md LICENSE /src/
COPY src /src/src
# Compiled here, as the package's folder is read-only for the user below.
RUN pip install --no-cache-dir /src && rm -r /src && python -m wsol.maps

RUN useradd --create-home wsol
# For --user with any number: caches go to a folder that all users can write.
ENV HOME=/home/wsol
RUN chmod 1777 /home/wsol
USER wsol
WORKDIR /data

ENTRYPOINT ["wsol"]
CMD ["--help"]
