# The project's suites on the base of its images: gcc, libraries and servers as the containers have them.

FROM debian:trixie-slim
WORKDIR /src
COPY deploy/install.sh deploy/
RUN deploy/install.sh build
RUN deploy/install.sh build run test && \
    useradd --uid 10001 --create-home hubbub && chown hubbub /src
COPY --chown=hubbub . .
USER hubbub
CMD ["/usr/bin/python3", "tests/run.py", "--werror"]
