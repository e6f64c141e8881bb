//! The zones that CoreDNS serves.

use std::fmt::Write as _;
use std::sync::OnceLock;

/// All zones: plain files, and plugins for what no healthy server says.
pub(crate) const ZONES: &str = "
zone.test:53 {
    file zone
}
hosts.test:53 {
    file hosts
}
cluster.local:53 {
    file cluster
}
10.in-addr.arpa:53 {
    file reverse
}
servfail.test:53 {
    template ANY ANY {
        rcode SERVFAIL
    }
}
refused.test:53 {
    template ANY ANY {
        rcode REFUSED
    }
}
half.test:53 {
    template IN A {
        answer \"{{ .Name }} 5 IN A 10.1.0.1\"
    }
    template ANY ANY {
        rcode SERVFAIL
    }
}
silent.test:53 {
    erratic {
        drop 1
    }
}
lossy.test:53 {
    erratic {
        drop 3
    }
}
late.test:53 {
    erratic {
        drop 0
        delay 2 1500ms
    }
}
";

/// The addresses of `web.zone.test`.
pub(crate) const ADDRESSES: &str =
    "web 5 IN A 10.1.0.1\nweb 5 IN A 10.1.0.2\nweb 5 IN AAAA fd00::1\n";

/// The same after two of them have gone.
pub(crate) const ADDRESSES_LESS: &str = "web 5 IN A 10.1.0.1\n";

/// Nodes on loopback, each with a port of its own.
pub(crate) const BEAMS: &str = "$ORIGIN beams.test.
@ 60 IN SOA ns.beams.test. admin.beams.test. 1 60 60 60 5
@ 60 IN NS ns
ns 60 IN A 127.0.0.1
_dist._tcp 2 IN SRV 0 0 9001 one
_dist._tcp 2 IN SRV 0 0 9002 two
one 2 IN A 127.0.0.2
two 2 IN A 127.0.0.3
";

/// The same with one more.
pub(crate) fn more_beams() -> String {
    let serial = BEAMS.replace("admin.beams.test. 1 ", "admin.beams.test. 2 ");
    serial + "_dist._tcp 2 IN SRV 0 0 9003 three\nthree 2 IN A 127.0.0.4\n"
}

const ZONE: &str = "$ORIGIN zone.test.
@ 60 IN SOA ns.zone.test. admin.zone.test. 1 60 60 60 5
@ 60 IN NS ns
ns 60 IN A 127.0.0.1
v4 5 IN A 10.1.0.3
alias 5 IN CNAME alias-2
alias-2 5 IN CNAME web
empty 5 IN TXT \"no address\"
dangling 5 IN CNAME nowhere
ring 5 IN CNAME ring-2
ring-2 5 IN CNAME ring
_dist._tcp 5 IN SRV 10 20 9001 a.hosts.test.
_dist._tcp 5 IN SRV 20 10 9002 b.hosts.test.
alias-srv 5 IN CNAME alias-srv-2
alias-srv-2 5 IN CNAME _dist._tcp
broken-srv 5 IN SRV 0 0 9001 a.hosts.test.
broken-srv 5 IN SRV 0 0 9002 nobody.hosts.test.
gone 5 IN SRV 0 0 0 .
ttl0 0 IN A 10.1.0.1
ttl2 2 IN A 10.1.0.1
ttl60 60 IN A 10.1.0.1
";

const HOSTS: &str = "$ORIGIN hosts.test.
@ 60 IN SOA ns.hosts.test. admin.hosts.test. 1 60 60 60 5
@ 60 IN NS ns
ns 60 IN A 127.0.0.1
a 5 IN A 10.1.0.1
b 5 IN A 10.1.0.2
";

const CLUSTER: &str = "$ORIGIN cluster.local.
@ 60 IN SOA ns.cluster.local. admin.cluster.local. 1 60 60 60 5
@ 60 IN NS ns
ns 60 IN A 127.0.0.1
app.ns.svc 5 IN SRV 0 100 4369 app-0.app.ns.svc
app-0.app.ns.svc 5 IN A 10.1.0.1
";

const REVERSE: &str = "$ORIGIN 10.in-addr.arpa.
@ 60 IN SOA ns.zone.test. admin.zone.test. 1 60 60 60 5
@ 60 IN NS ns.zone.test.
1.0.1 5 IN PTR a.hosts.test.
3.0.1 5 IN PTR c.hosts.test.
";

/// A Corefile with these zones on loopback.
pub(crate) fn corefile(zones: &str) -> String {
    zones.replace(":53 {\n", ":53 {\n    bind 127.0.0.1\n    errors\n")
}

/// The files of [`ZONES`], with these `addresses` of `web.zone.test`.
pub(crate) fn files(addresses: &str) -> [(&'static str, &'static str); 4] {
    static MANY: OnceLock<String> = OnceLock::new();
    let many = MANY.get_or_init(|| {
        (0..200).fold(String::new(), |mut text, number| {
            let _ = writeln!(text, "many 5 IN A 10.2.0.{number}");
            text
        })
    });
    // Leaked, as a test's few texts may be.
    let zone: &'static str = format!("{ZONE}{addresses}{many}").leak();
    [
        ("zone", zone),
        ("hosts", HOSTS),
        ("cluster", CLUSTER),
        ("reverse", REVERSE),
    ]
}
