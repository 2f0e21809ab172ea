//! Configurations that are taken, and every complaint with its place.

use super::*;
use crate::feed::sequenced::{Endian, Field};
use crate::feed::{FeedProtocol, Severity};
use proptest::prelude::*;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(Path::new("wiretape.toml"), text.as_bytes())
}
fn message(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}
fn feed(lines: &str) -> String {
    format!("[[feed]]\nname = \"a\"\nprotocol = \"moldudp64\"\n{lines}\n")
}

#[test]
fn a_feed_is_read_with_all_its_fields() {
    let text = "# feeds\n[[feed]]\nname = \"itch-a\"\nprotocol = \"moldudp64-itch50\"\ngroup = \"233.54.12.111\"\n\
                port = 26477\nsource = \"206.200.127.138\"\ninterface = \"eth0\"\n";
    let config = parse(text).unwrap();
    let group = "233.54.12.111".parse().unwrap();
    let mut expected = FeedConfig::one_line("itch-a", FeedProtocol::MoldUdp64Itch50, group, 26477);
    expected.lines[0].source = Some("206.200.127.138".parse().unwrap());
    expected.lines[0].interface = Some("eth0".into());
    assert_eq!(config.feeds, [expected]);
    assert_eq!(config.hash, *blake3::hash(text.as_bytes()).as_bytes());
}

#[test]
fn an_empty_file_is_a_configuration_without_feeds() {
    assert_eq!(parse("").unwrap(), Config::empty());
}

#[test]
fn unicast_and_ipv6_addresses_are_taken() {
    assert!(parse(&feed("group = \"10.0.0.7\"\nport = 1")).is_ok());
    assert!(parse(&feed("group = \"ff3e::1\"\nport = 1\nsource = \"2001:db8::1\"")).is_ok());
}

#[test]
fn each_error_names_file_line_column_and_mend() {
    let group = "group = \"239.1.2.3\"";
    for (text, expected) in [
        (feed(&format!("{group}\nport = 0")), "wiretape.toml:5:8: port 0 is not between 1 and 65535"),
        (feed(&format!("{group}\nport = 70000")), "5:8: port 70000"),
        (feed("group = \"nasdaq\"\nport = 1"), "4:9: group \"nasdaq\" is no IP address; write it like"),
        (feed("group = \"0.0.0.0\"\nport = 1"), "4:9: group 0.0.0.0 is nobody's address"),
        (
            feed(&format!("{group}\nport = 1\nsource = \"239.1.1.1\"")),
            "6:10: source 239.1.1.1 is no sender's",
        ),
        (feed(&format!("{group}\nport = 1\nsource = \"::1\"")), "6:10: source ::1 and group 239.1.2.3"),
        (feed(&format!("{group}\nport = 1\ninterface = \"a b\"")), "6:13: \"a b\" cannot be an interface"),
        (feed(&format!("{group}\nport = 1\nprot = 3")), "6:1: unknown field `prot`, expected one of"),
        (feed(group), "missing field `port`"),
        ("[capture]\n".to_owned(), "1:2: unknown field `capture`"),
        ("[[feed]]\nname = \n".to_owned(), "wiretape.toml:2:8: "),
        (
            "[[feed]]\nname=\"a\"\nprotocol=\"pitch\"\ngroup=\"239.1.1.1\"\nport=1".to_owned(),
            "3:10: unknown protocol \"pitch\"; known: \"moldudp64-itch50\", \"moldudp64\"",
        ),
    ] {
        let said = message(&text);
        assert!(said.contains(expected), "{said:?} should contain {expected:?}");
    }
}

const WHOLE: &str = r#"
[[feed]]
name = "itch"
protocol = "moldudp64-itch50"
session = "000008011A"
dataset = "XNAS.ITCH"
publisher_id = 2
channel_id = 7
utc_offset_s = -18000
[feed.symbols]
AAPL = 13
"BRK A" = 14
[feed.limits]
hold_ms = 25
silence_ms = 0
[feed.rules]
silence = "error"
event-backwards = "off"
[[feed.line]]
name = "A"
group = "233.54.12.111"
port = 26477
source = "206.200.127.138"
interface = "eth0"
[[feed.line]]
name = "B"
group = "233.49.196.111"
port = 26477

[[feed]]
name = "own"
protocol = "sequenced"
group = "239.9.9.9"
port = 9
[feed.layout]
endian = "little"
sequence = { offset = 4, width = 4 }
count = { offset = 8, width = 2 }
sent = { offset = 16, width = 8 }
time_unit_ns = 1000
"#;

#[test]
fn everything_that_can_be_said_of_a_feed_is_read() {
    let feeds = parse(WHOLE).unwrap().feeds;
    let itch = &feeds[0];
    let lines: Vec<_> = itch.lines.iter().map(|line| (line.name.as_str(), line.port, line.source)).collect();
    assert_eq!(lines, [("A", 26477, "206.200.127.138".parse().ok()), ("B", 26477, None)]);
    assert_eq!(itch.session.as_deref(), Some("000008011A"));
    assert_eq!((itch.dataset.as_str(), itch.publisher_id, itch.channel_id), ("XNAS.ITCH", 2, 7));
    assert_eq!(itch.utc_offset_s, Some(-18_000));
    assert_eq!(itch.symbols, [("AAPL".to_owned(), 13), ("BRK A".to_owned(), 14)].into());
    assert_eq!((itch.limits.hold_ms, itch.limits.silence_ms, itch.limits.stale_ms), (25, 0, 1000));
    let rules = [("event-backwards".to_owned(), Severity::Off), ("silence".to_owned(), Severity::Error)];
    assert_eq!(itch.rules, rules.into());
    let layout = feeds[1].layout;
    assert_eq!((layout.endian, layout.time_unit_ns), (Endian::Little, 1000));
    assert_eq!(layout.sequence, Field { offset: 4, width: 4 });
    assert_eq!(layout.sent, Some(Field { offset: 16, width: 8 }));
    assert_eq!(feeds[1].lines[0].name, "A");
}

/// Where WHOLE says one thing, it says another: which complaint that gives, and where.
#[test]
fn each_word_of_a_feed_has_its_complaint() {
    for (right, wrong, expected) in [
        (
            "session = \"000008011A\"",
            "session = \"too long a one\"",
            "5:11: \"too long a one\" is no session of",
        ),
        ("dataset = \"XNAS.ITCH\"", "dataset = \"X/Y\"", "6:11: a dataset code is 1 to 16 letters"),
        ("publisher_id = 2", "publisher_id = 65536", "7:16: publisher_id 65536 is not between 0 and 65535"),
        ("channel_id = 7", "channel_id = -1", "8:14: channel_id -1 is not between 0 and 255"),
        ("channel_id = 7", "channel = 7", "8:11: moldudp64-itch50 has no channels"),
        ("utc_offset_s = -18000", "utc_offset_s = 99999", "9:16: utc_offset_s 99999 is not between"),
        ("AAPL = 13", "AAPL = 0", "11:8: instrument id 0 is not between 1 and 4294967295"),
        ("AAPL = 13", "AAPL = 14", "instrument id 14 is that of"),
        ("AAPL = 13", "\"AAPL \" = 13", "11:1: \"AAPL \" is no symbol"),
        ("hold_ms = 25", "hold_ms = 60001", "14:11: hold_ms 60001 is not between 0 and 60000"),
        ("hold_ms = 25", "hold_s = 25", "14:1: unknown field `hold_s`"),
        ("silence = \"error\"", "silent = \"error\"", "17:1: unknown rule \"silent\"; known: gap, line-gap,"),
        ("silence = \"error\"", "silence = \"bad\"", "17:11: unknown severity \"bad\"; known: \"off\""),
        ("name = \"B\"", "name = \"A\"", "26:8: a line named \"A\" stands further up in this feed"),
        ("name = \"B\"", "name = \"\"", "26:8: a line's name is 1 to 16 letters"),
        ("233.49.196.111", "233.54.12.111", "27:9: line \"A\" takes the same packets"),
        ("publisher_id = 2", "group = \"239.1.1.1\"", "7:9: the feed has lines of its own"),
        ("width = 4", "width = 9", "width 9 is not between 1 and 8"),
        ("offset = 4", "offset = 65504", "offset 65504 is not between 0 and 65503"),
        ("\"little\"", "\"middle\"", "unknown variant `middle`, expected `big` or `little`"),
        ("sent = { offset = 16, width = 8 }\n", "", "time_unit_ns is the unit of `sent`"),
        (
            "[feed.layout]\nendian = \"little\"",
            "[feed.layout]\nendian = \"little\"\nnext = 1",
            "unknown field `next`",
        ),
        (
            "protocol = \"sequenced\"",
            "protocol = \"cboe-pitch\"",
            "cboe-pitch has its own layout; remove this table",
        ),
        (
            "protocol = \"sequenced\"",
            "protocol = \"sequenced\"\nsession = \"1\"",
            "sequenced has no sessions",
        ),
        (
            "protocol = \"sequenced\"",
            "protocol = \"sequenced\"\nutc_offset_s = 0",
            "does not count time from midnight",
        ),
        ("name = \"own\"", "name = \"..\"", "cannot name a directory"),
    ] {
        assert!(WHOLE.contains(right), "{right}");
        let said = message(&WHOLE.replacen(right, wrong, 1));
        assert!(said.contains(expected), "{wrong}: {said:?} should contain {expected:?}");
    }
    let said = message("[[feed]]\nname = \"a\"\nprotocol = \"sequenced\"\ngroup = \"239.1.1.1\"\nport = 1\n");
    assert!(said.contains("3:12: protocol \"sequenced\" needs a [feed.layout]"), "{said}");
    let unit = feed("group = \"239.1.1.1\"\nport = 1\nchannel = 256").replace("moldudp64", "cboe-pitch");
    assert!(message(&unit).contains("6:11: channel (the unit) 256 is not between 0 and 255"));
    let session = feed("group = \"239.1.1.1\"\nport = 1\nsession = \"007\"").replace("moldudp64", "iex-tp");
    assert!(message(&session).contains("\"007\" is no session of iex-tp"));
}

#[test]
fn two_feeds_are_not_one_directory() {
    let one = feed("group = \"239.1.2.3\"\nport = 1").replace("\"a\"", "\"a b\"");
    let other = feed("group = \"239.1.2.4\"\nport = 1").replace("\"a\"", "\"a_b\"");
    assert!(message(&format!("{one}{other}")).contains("\"a_b\" and \"a b\" further up would be one name"));
}

#[test]
fn names_and_places_are_unique() {
    let one = feed("group = \"239.1.2.3\"\nport = 1");
    let same_name = feed("group = \"239.1.2.4\"\nport = 1");
    assert!(message(&format!("{one}{same_name}")).contains("7:8: a feed named \"a\" stands further up"));
    let same_place = one.replace("\"a\"", "\"b\"");
    let said = message(&format!("{one}{same_place}"));
    assert!(said.contains("9:9: feed \"a\" has the same group, port and source"), "{said}");
}

#[test]
fn what_cannot_be_read_is_named() {
    let said = Config::load(Path::new("/nonexistent/wiretape.toml")).unwrap_err().to_string();
    assert!(said.contains("cannot read configuration /nonexistent/wiretape.toml: No such file"), "{said}");
    let said = Config::parse(Path::new("w.toml"), b"a = 1\n\xff").unwrap_err().to_string();
    assert_eq!(said, "w.toml:2:1: is not UTF-8 text; save the file as UTF-8");
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Config::parse(Path::new("w.toml"), &bytes);
    }
}
