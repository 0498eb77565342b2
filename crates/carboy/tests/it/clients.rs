//! Real clients in real bottles, with no setting but what the bottle gives them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::{Place, Who, bottles_work, everyone, expect_code, stderr, stdout};
use crate::world::{HOST, World};

/// A bottle's place and the world it can reach.
struct Scene {
    place: Place,
    world: World,
    options: Vec<String>,
}

impl Scene {
    fn new(who: Who) -> Self {
        let place = Place::new(who);
        let files = place.path("files");
        fs::create_dir(&files).unwrap();
        fs::set_permissions(&files, fs::Permissions::from_mode(0o755)).unwrap();
        let world = World::over_tls(&files);
        let options = world.options(&place);
        Self {
            place,
            world,
            options,
        }
    }

    fn run(&self, command: &[&str]) -> Output {
        self.run_with(&self.options, command)
    }

    fn run_with(&self, options: &[String], command: &[&str]) -> Output {
        let mut carboy = self.place.carboy();
        // Toolchains under the real home are found through the real home.
        if let Some(home) = std::env::var_os("HOME") {
            carboy
                .env("HOME", home)
                .env("XDG_CONFIG_HOME", self.place.path("home"));
        }
        carboy
            .arg("run")
            .args(options)
            .arg("--")
            .args(command)
            .output()
            .unwrap()
    }

    /// Whether a program works in this bottle. If not, says so.
    fn has(&self, program: &str) -> bool {
        let works = self.run(&[program, "--version"]).status.success();
        if !works {
            eprintln!(
                "SKIPPED: {program} does not work here for {:?}",
                self.place.who()
            );
        }
        works
    }

    fn sh(&self, script: &str) -> Output {
        self.run(&["sh", "-c", script])
    }

    fn python(&self, script: &str) -> Output {
        self.run(&["python3", "-c", script])
    }

    fn files(&self) -> std::path::PathBuf {
        self.place.path("files")
    }
}

/// Runs `test` for everyone whose bottle has `program`.
fn with(program: &str, test: impl Fn(&Scene)) {
    for who in everyone().into_iter().filter(|who| bottles_work(*who)) {
        let scene = Scene::new(who);
        if scene.has(program) {
            test(&scene);
        }
    }
}

/// A program outside that prepares what the world serves.
fn outside(dir: &Path, script: &str) -> String {
    let output = Command::new("sh")
        .args(["-euc", script])
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_AUTHOR_NAME", "Test")
        .env("GIT_AUTHOR_EMAIL", "test@files.test")
        .env("GIT_COMMITTER_NAME", "Test")
        .env("GIT_COMMITTER_EMAIL", "test@files.test")
        .output()
        .unwrap();
    expect_code(&output, 0);
    stdout(&output)
}

#[track_caller]
fn greeted(output: &Output) {
    expect_code(output, 0);
    assert!(
        stdout(output).contains("hello from outside"),
        "{}",
        stdout(output)
    );
}

#[test]
fn curl() {
    with("curl", |scene| {
        let url = scene.world.url("/hello");
        for flags in ["", "--http1.1", "--noproxy '*'", "--noproxy '*' --http1.1"] {
            greeted(&scene.sh(&format!("curl -fsS {flags} {url}")));
        }
        let refused = scene.sh(&format!(
            "curl -sS -i https://other.test:{}/",
            scene.world.port()
        ));
        assert!(
            stdout(&refused).contains("host_not_allowed"),
            "{}",
            stdout(&refused)
        );
    });
}

#[test]
fn wget() {
    with("wget", |scene| {
        greeted(&scene.sh(&format!("wget -qO- {}", scene.world.url("/hello"))));
        greeted(&scene.sh(&format!(
            "wget --no-proxy -qO- {}",
            scene.world.url("/hello")
        )));
    });
}

#[test]
fn git_clones_fetches_and_pushes() {
    with("git", |scene| {
        outside(
            &scene.files(),
            "git init -q -b main work && cd work && echo one > a && git add a && \
             git commit -qm one && cd .. && git clone -q --bare work repo.git && \
             git -C repo.git config http.receivepack true && chmod -R a+rX .",
        );
        let url = scene.world.url("/git/repo.git");
        let script = format!(
            "set -e; export GIT_CONFIG_GLOBAL=/dev/null; git clone -q {url} c; cd c; cat a; \
             git config user.name T; git config user.email t@files.test; echo two > b; \
             git add b; git commit -qm two; git push -q origin main; git fetch -q; git log --oneline"
        );
        let output = scene.sh(&script);
        expect_code(&output, 0);
        assert!(stdout(&output).contains("one"), "{}", stdout(&output));
        let pushed = outside(&scene.files(), "git -C repo.git log --format=%s main");
        assert_eq!(pushed, "two\none\n");
    });
}

#[test]
fn pip_installs() {
    with("pip", |scene| {
        outside(
            &scene.files(),
            "mkdir -p simple/demo-pkg && python3 - <<'END'\n\
             import zipfile\n\
             name = 'demo_pkg-1.0-py3-none-any.whl'\n\
             with zipfile.ZipFile('simple/demo-pkg/' + name, 'w') as wheel:\n\
             \x20   wheel.writestr('demo_pkg.py', 'GREETING = \"installed\"\\n')\n\
             \x20   info = 'demo_pkg-1.0.dist-info/'\n\
             \x20   wheel.writestr(info + 'METADATA', 'Metadata-Version: 2.1\\nName: demo-pkg\\nVersion: 1.0\\n')\n\
             \x20   wheel.writestr(info + 'WHEEL', 'Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')\n\
             \x20   wheel.writestr(info + 'RECORD', '')\n\
             open('simple/demo-pkg/index.html', 'w').write('<a href=\"' + name + '\">' + name + '</a>')\n\
             END",
        );
        let output = scene.sh(&format!(
            "python3 -m pip install -q --disable-pip-version-check --no-cache-dir --target lib \
             --index-url {}/ demo-pkg; PYTHONPATH=lib python3 -c 'import demo_pkg; \
             print(demo_pkg.GREETING)'",
            scene.world.url("/simple")
        ));
        expect_code(&output, 0);
        assert!(
            stdout(&output).ends_with("installed\n"),
            "{}",
            stdout(&output)
        );
    });
}

#[test]
fn npm_installs() {
    with("npm", |scene| {
        let url = scene.world.url("/npm");
        outside(
            &scene.files(),
            &format!(
                "mkdir -p package npm/demo-pkg/- && \
                 echo '{{\"name\":\"demo-pkg\",\"version\":\"1.0.0\"}}' > package/package.json && \
                 echo 'console.log(\"installed\")' > package/index.js && \
                 tar -czf npm/demo-pkg/-/demo-pkg-1.0.0.tgz package && \
                 sum=$(openssl dgst -sha512 -binary npm/demo-pkg/-/demo-pkg-1.0.0.tgz | base64 -w0) && \
                 echo '{{\"name\":\"demo-pkg\",\"dist-tags\":{{\"latest\":\"1.0.0\"}},\"versions\":{{\
                 \"1.0.0\":{{\"name\":\"demo-pkg\",\"version\":\"1.0.0\",\"dist\":{{\"tarball\":\
                 \"{url}/demo-pkg/-/demo-pkg-1.0.0.tgz\",\"integrity\":\"sha512-'$sum'\"}}}}}}}}' \
                 > npm/demo-pkg/index.html"
            ),
        );
        let output = scene.sh(&format!(
            "echo '{{}}' > package.json && npm install --no-audit --no-fund --loglevel=error \
             --registry {url}/ demo-pkg && node node_modules/demo-pkg/index.js"
        ));
        expect_code(&output, 0);
        assert!(
            stdout(&output).ends_with("installed\n"),
            "{}",
            stdout(&output)
        );
    });
}

#[test]
fn cargo_fetches() {
    with("cargo", |scene| {
        let url = scene.world.url("");
        outside(
            &scene.files(),
            &format!(
                "mkdir -p demo-crate-0.1.0/src index/de/mo crates && \
                 printf '[package]\\nname = \"demo-crate\"\\nversion = \"0.1.0\"\\n' \
                 > demo-crate-0.1.0/Cargo.toml && echo > demo-crate-0.1.0/src/lib.rs && \
                 tar -czf crates/demo-crate-0.1.0.crate demo-crate-0.1.0 && \
                 sum=$(sha256sum crates/demo-crate-0.1.0.crate | cut -d' ' -f1) && \
                 echo '{{\"dl\":\"{url}/crates/{{crate}}-{{version}}.crate\"}}' > index/config.json && \
                 echo '{{\"name\":\"demo-crate\",\"vers\":\"0.1.0\",\"deps\":[],\"cksum\":\"'$sum'\",\
                 \"features\":{{}},\"yanked\":false}}' > index/de/mo/demo-crate"
            ),
        );
        let output = scene.sh(&format!(
            "set -e; export CARGO_HOME=$PWD/.cargo-home; mkdir -p src; echo > src/lib.rs; \
             printf '[package]\\nname = \"user\"\\nversion = \"0.1.0\"\\nedition = \"2021\"\\n\
             [dependencies]\\ndemo-crate = {{ version = \"0.1\", registry = \"local\" }}\\n' > Cargo.toml; \
             CARGO_REGISTRIES_LOCAL_INDEX=sparse+{url}/index/ cargo fetch -q; \
             find .cargo-home -name 'demo-crate-0.1.0.crate'"
        ));
        expect_code(&output, 0);
        assert!(
            stdout(&output).contains("demo-crate-0.1.0.crate"),
            "{}",
            stdout(&output)
        );
    });
}

#[test]
fn python_with_and_without_the_proxy() {
    with("python3", |scene| {
        let url = scene.world.url("/hello");
        greeted(&scene.python(&format!(
            "import urllib.request as r; print(r.urlopen('{url}').read().decode())"
        )));
        // http.client reads no proxy variable.
        greeted(&scene.python(&format!(
            "import http.client as h; c = h.HTTPSConnection('{HOST}', {}); \
             c.request('GET', '/hello'); print(c.getresponse().read().decode())",
            scene.world.port()
        )));
        for library in ["requests", "httpx"] {
            let found = scene.python(&format!("import {library}"));
            if found.status.success() {
                greeted(&scene.python(&format!(
                    "import {library}; print({library}.get('{url}').text)"
                )));
            } else {
                eprintln!("SKIPPED: this python has no {library}");
            }
        }
    });
}

#[test]
fn node_fetches() {
    with("node", |scene| {
        let script = format!(
            "fetch('{}').then(r => r.text()).then(t => console.log(t))",
            scene.world.url("/hello")
        );
        greeted(&scene.run(&["node", "-e", &script]));
    });
}

#[test]
fn a_program_that_ignores_proxies_cannot_speak_raw_tcp() {
    with("python3", |scene| {
        let port = scene.world.port();
        let output = scene.python(&format!(
            "import socket; s = socket.create_connection(('{HOST}', {port}), 10); \
             s.sendall(b'\\x00\\x01raw'); s.settimeout(20); print('got', s.recv(100))"
        ));
        assert!(
            !stdout(&output).contains("got b'\\x"),
            "{}",
            stdout(&output)
        );
        assert!(
            stderr(&output).contains("refused TCP to files.test"),
            "{}",
            stderr(&output)
        );
    });
}

#[test]
fn raw_tcp_to_a_listed_name_and_port_passes() {
    with("python3", |scene| {
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        let echo = std::thread::spawn(move || {
            let (mut stream, _) = server.accept().unwrap();
            let mut reader = stream.try_clone().unwrap();
            std::io::copy(&mut reader, &mut stream).unwrap();
        });
        let policy = format!(
            "version: 1\nmode: strict\negress:\n  tcp: [\"{HOST}:{port}\"]\n  \
             private: [\"{HOST}:{port}\"]\n"
        );
        let policy = scene.place.write("tcp.yaml", policy);
        let hosts = scene.place.path("hosts");
        let script = format!(
            "import socket; s = socket.create_connection(('{HOST}', {port}), 10); \
             s.sendall(b'ping\\n'); print(s.recv(100)); s.close()"
        );
        let options = [
            "--policy",
            policy.to_str().unwrap(),
            "--hosts",
            hosts.to_str().unwrap(),
        ];
        let output = scene.run_with(&options.map(str::to_owned), &["python3", "-c", &script]);
        expect_code(&output, 0);
        assert_eq!(stdout(&output), "b'ping\\n'\n");
        echo.join().unwrap();
    });
}

#[test]
fn a_server_inside_answers_on_the_bottles_own_loopback() {
    with("python3", |scene| {
        let output = scene.sh(
            "echo inside > index.html; python3 -m http.server 8765 --bind 127.0.0.1 \
             >/dev/null 2>&1 & for i in $(seq 50); do curl -fsS http://127.0.0.1:8765/ \
             2>/dev/null && break; sleep 0.1; done; kill %1",
        );
        assert_eq!(stdout(&output), "inside\n", "{}", stderr(&output));
    });
}
