//! libpcap, loaded at run time: its compiler of filter expressions, and its interpreter
//! as a reference for ours.
//!
//! The program builds and starts without libpcap; only an expression needs it. What the
//! compiler returns is not trusted here: the caller checks it.

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW, Symbol};
use std::ffi::{CStr, CString, c_char, c_int, c_uchar, c_uint};
use std::fmt;
use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};
use thiserror::Error;

/// Tried in this order: the name of most distributions, Debian's, a development package's.
const NAMES: [&str; 3] = ["libpcap.so.1", "libpcap.so.0.8", "libpcap.so"];
const NETMASK_UNKNOWN: c_uint = u32::MAX;
/// libpcap's own limit, and what "no snap length" means to it.
const MAX_SNAPLEN: u32 = 262_144;

/// libpcap before 1.8 compiles with global state, so one at a time.
static COMPILER: Mutex<()> = Mutex::new(());

/// Instructions as `(code, jt, jf, k)`.
pub type RawProgram = Vec<(u16, u8, u8, u32)>;

/// libpcap is not there, or is no libpcap.
#[derive(Debug, Error)]
pub enum LoadError {
    /// None of its names could be loaded.
    #[error(
        "filter expressions need libpcap, which could not be loaded ({reason}): install the package libpcap0.8 (Debian, Ubuntu) or libpcap (others), or compile the expression elsewhere with `tcpdump -ddd` and give the text with `--bpf FILE`"
    )]
    Missing {
        /// The loader's words.
        reason: String,
    },
    /// A function is missing.
    #[error(
        "the installed libpcap lacks {function} ({reason}): install libpcap 1.0 or newer (package libpcap0.8 or libpcap), or compile the expression elsewhere with `tcpdump -ddd` and give the text with `--bpf FILE`"
    )]
    Incomplete {
        /// Which.
        function: &'static str,
        /// The loader's words.
        reason: String,
    },
}

/// `pcap_t`, of which only pointers exist here.
#[repr(C)]
struct Pcap {
    opaque: [u8; 0],
}

#[repr(C)]
#[derive(Clone, Copy)]
struct BpfInsn {
    code: u16,
    jt: u8,
    jf: u8,
    k: u32,
}
const _: () = assert!(size_of::<BpfInsn>() == 8);

#[repr(C)]
struct BpfProgram {
    len: c_uint,
    insns: *mut BpfInsn,
}

/// `struct pcap_pkthdr`; libpcap's interpreter reads the two lengths alone.
#[repr(C)]
struct PacketHeader {
    stamp: libc::timeval,
    captured_len: u32,
    wire_len: u32,
}

type Create = unsafe extern "C" fn(*const c_char, *mut c_char) -> *mut Pcap;
type SetInt = unsafe extern "C" fn(*mut Pcap, c_int) -> c_int;
type Activate = unsafe extern "C" fn(*mut Pcap) -> c_int;
type OpenDead = unsafe extern "C" fn(c_int, c_int) -> *mut Pcap;
type Compile = unsafe extern "C" fn(*mut Pcap, *mut BpfProgram, *const c_char, c_int, c_uint) -> c_int;
type FreeCode = unsafe extern "C" fn(*mut BpfProgram);
type GetError = unsafe extern "C" fn(*mut Pcap) -> *mut c_char;
type StatusText = unsafe extern "C" fn(c_int) -> *const c_char;
type DataLink = unsafe extern "C" fn(*mut Pcap) -> c_int;
type Close = unsafe extern "C" fn(*mut Pcap);
type Version = unsafe extern "C" fn() -> *const c_char;
type OfflineFilter = unsafe extern "C" fn(*const BpfProgram, *const PacketHeader, *const c_uchar) -> c_int;

/// The loaded library.
pub struct Libpcap {
    create: Create,
    set_snaplen: SetInt,
    set_promisc: SetInt,
    activate: Activate,
    open_dead: OpenDead,
    compile: Compile,
    free_code: FreeCode,
    get_error: GetError,
    status_text: StatusText,
    data_link: DataLink,
    close: Close,
    version: Version,
    offline_filter: OfflineFilter,
    /// Keeps the functions above mapped: nobody copies one out of this struct.
    _library: Library,
}

impl fmt::Debug for Libpcap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Libpcap({})", self.version())
    }
}

/// A `pcap_t`, closed on drop.
struct Handle<'a> {
    pcap: NonNull<Pcap>,
    library: &'a Libpcap,
}

impl Drop for Handle<'_> {
    fn drop(&mut self) {
        // SAFETY: `pcap` came from pcap_create or pcap_open_dead and is closed only here.
        unsafe { (self.library.close)(self.pcap.as_ptr()) }
    }
}

impl Libpcap {
    /// Loads the library of this system.
    ///
    /// # Errors
    /// It is missing or too old; the message names the package to install and the way around.
    pub fn load() -> Result<Self, LoadError> {
        let library = open(&NAMES)?;
        // SAFETY: each type is the prototype of the function of that name in pcap/pcap.h, unchanged since
        // libpcap 1.0; the library is kept as long as the pointers.
        unsafe {
            Ok(Self {
                create: symbol(&library, c"pcap_create", "pcap_create")?,
                set_snaplen: symbol(&library, c"pcap_set_snaplen", "pcap_set_snaplen")?,
                set_promisc: symbol(&library, c"pcap_set_promisc", "pcap_set_promisc")?,
                activate: symbol(&library, c"pcap_activate", "pcap_activate")?,
                open_dead: symbol(&library, c"pcap_open_dead", "pcap_open_dead")?,
                compile: symbol(&library, c"pcap_compile", "pcap_compile")?,
                free_code: symbol(&library, c"pcap_freecode", "pcap_freecode")?,
                get_error: symbol(&library, c"pcap_geterr", "pcap_geterr")?,
                status_text: symbol(&library, c"pcap_statustostr", "pcap_statustostr")?,
                data_link: symbol(&library, c"pcap_datalink", "pcap_datalink")?,
                close: symbol(&library, c"pcap_close", "pcap_close")?,
                version: symbol(&library, c"pcap_lib_version", "pcap_lib_version")?,
                offline_filter: symbol(&library, c"pcap_offline_filter", "pcap_offline_filter")?,
                _library: library,
            })
        }
    }

    /// What the library says it is, e.g. `libpcap version 1.10.3 (with TPACKET_V3)`.
    pub fn version(&self) -> String {
        // SAFETY: takes nothing; returns a static string.
        text(unsafe { (self.version)() })
    }

    /// Compiles `expression` for packets as `interface` will give them.
    ///
    /// Opens and activates the interface for the moment of compiling (needs the right to
    /// capture; not promiscuous), because only then does libpcap know that the kernel takes
    /// VLAN tags out of the bytes. `snaplen` 0 = whole packets.
    ///
    /// # Errors
    /// libpcap's own words: about the interface, or about the expression.
    pub fn compile_live(
        &self,
        interface: &str,
        snaplen: u32,
        expression: &str,
    ) -> Result<RawProgram, String> {
        let name =
            CString::new(interface).map_err(|_| format!("interface {interface:?}: has a zero byte"))?;
        let mut message: [c_char; 4096] = [0; 4096];
        // SAFETY: `name` ends with a zero; `message` is longer than PCAP_ERRBUF_SIZE (256).
        let pcap = unsafe { (self.create)(name.as_ptr(), message.as_mut_ptr()) };
        let Some(pcap) = NonNull::new(pcap) else {
            // A failed pcap_create filled `message`, which began as zeros: a string either way.
            return Err(format!("interface {interface}: {}", text(message.as_ptr())));
        };
        let handle = Handle { pcap, library: self };
        handle.activate(snaplen).map_err(|reason| format!("interface {interface}: {reason}"))?;
        Ok(handle.compile(expression)?.to_raw())
    }

    /// Compiles `expression` for packets of a file of this LINKTYPE. `snaplen` 0 = whole packets.
    ///
    /// # Errors
    /// libpcap's own words about the expression or the link type.
    pub fn compile_dead(&self, linktype: u16, snaplen: u32, expression: &str) -> Result<RawProgram, String> {
        Ok(self.dead(linktype, snaplen)?.compile(expression)?.to_raw())
    }

    /// Like [`Self::compile_dead`], but keeps the program in libpcap's hands, to be run by its own interpreter.
    ///
    /// # Errors
    /// libpcap's own words about the expression or the link type.
    pub fn reference(&self, linktype: u16, snaplen: u32, expression: &str) -> Result<Reference<'_>, String> {
        self.dead(linktype, snaplen)?.compile(expression)
    }

    fn dead(&self, linktype: u16, snaplen: u32) -> Result<Handle<'_>, String> {
        // SAFETY: takes two numbers; returns a new pcap_t or null.
        let pcap = unsafe { (self.open_dead)(dlt(linktype), snaplen_or_max(snaplen)) };
        match NonNull::new(pcap) {
            Some(pcap) => Ok(Handle { pcap, library: self }),
            None => Err(format!("libpcap has no memory for a handle of link type {linktype}")),
        }
    }
}

/// A program that libpcap compiled and holds; what our interpreter is tested against.
pub struct Reference<'a> {
    program: BpfProgram,
    library: &'a Libpcap,
}

impl Drop for Reference<'_> {
    fn drop(&mut self) {
        // SAFETY: `program` was filled by pcap_compile and is freed only here.
        unsafe { (self.library.free_code)(&raw mut self.program) };
    }
}

impl fmt::Debug for Reference<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reference({} instructions)", self.program.len)
    }
}

impl Reference<'_> {
    /// The instructions.
    pub fn to_raw(&self) -> RawProgram {
        let len = usize::try_from(self.program.len).unwrap_or(0);
        if self.program.insns.is_null() || len == 0 {
            return Vec::new();
        }
        // SAFETY: pcap_compile succeeded, so `insns` points to `len` instructions that it allocated;
        // they are freed on drop.
        let insns = unsafe { std::slice::from_raw_parts(self.program.insns, len) };
        insns.iter().map(|insn| (insn.code, insn.jt, insn.jf, insn.k)).collect()
    }

    /// What libpcap's own interpreter says of a packet: 0 = reject, else how many bytes to keep.
    pub fn run(&self, bytes: &[u8], wire_len: u32) -> u32 {
        let Ok(captured_len) = u32::try_from(bytes.len()) else { return 0 };
        let header = PacketHeader { stamp: libc::timeval { tv_sec: 0, tv_usec: 0 }, captured_len, wire_len };
        // SAFETY: the program is unchanged since pcap_compile made it; all three outlive the call;
        // `captured_len` is the length of `bytes`, which libpcap's interpreter checks each load against.
        let verdict = unsafe {
            (self.library.offline_filter)(&raw const self.program, &raw const header, bytes.as_ptr())
        };
        verdict.cast_unsigned()
    }
}

impl<'a> Handle<'a> {
    fn activate(&self, snaplen: u32) -> Result<(), String> {
        let (library, pcap) = (self.library, self.pcap.as_ptr());
        // SAFETY: a live handle that is not active yet, which is all these three ask.
        let status = unsafe {
            (library.set_snaplen)(pcap, snaplen_or_max(snaplen));
            (library.set_promisc)(pcap, 0);
            (library.activate)(pcap)
        };
        // Above zero are warnings.
        if status >= 0 {
            return self.not_cooked();
        }
        // SAFETY: takes a number; returns a string that outlives this function.
        let short = text(unsafe { (library.status_text)(status) });
        let long = self.error();
        Err(if long.is_empty() || long == short { short } else { format!("{short} ({long})") })
    }

    /// libpcap reads some interfaces (and `any`) without their link-layer header, puts one of its own
    /// before each packet, and bends a program accordingly when it attaches it. Such a program fits nobody else.
    fn not_cooked(&self) -> Result<(), String> {
        const LINUX_SLL: c_int = 113;
        const LINUX_SLL2: c_int = 276;
        // SAFETY: a live, active handle.
        match unsafe { (self.library.data_link)(self.pcap.as_ptr()) } {
            LINUX_SLL | LINUX_SLL2 => {
                Err("libpcap captures it in cooked mode, so what it compiles does not fit \
                 the bytes of a raw capture: name one Ethernet interface, or give a program with `--bpf FILE`"
                    .to_owned())
            }
            _ => Ok(()),
        }
    }

    fn error(&self) -> String {
        // SAFETY: a live handle; the string lives as long as it.
        text(unsafe { (self.library.get_error)(self.pcap.as_ptr()) })
    }

    fn compile(&self, expression: &str) -> Result<Reference<'a>, String> {
        let source =
            CString::new(expression).map_err(|_| format!("expression {expression:?}: has a zero byte"))?;
        let mut program = BpfProgram { len: 0, insns: std::ptr::null_mut() };
        let _one_at_a_time = COMPILER.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: a live handle, a writable program, a string that ends with a zero; 1 = optimise.
        let status = unsafe {
            (self.library.compile)(self.pcap.as_ptr(), &raw mut program, source.as_ptr(), 1, NETMASK_UNKNOWN)
        };
        if status < 0 {
            return Err(format!("expression \"{expression}\": {}", self.error()));
        }
        Ok(Reference { program, library: self.library })
    }
}

fn open(names: &[&str]) -> Result<Library, LoadError> {
    let mut reason = String::new();
    for &name in names {
        // SAFETY: loading runs the initialisers of a system library found by the system's loader; libpcap's
        // (and those of the libraries it needs) change nothing that this process relies on.
        match unsafe { Library::open(Some(name), RTLD_NOW | RTLD_LOCAL) } {
            Ok(library) => return Ok(library),
            // The first name's reason tells most.
            Err(error) if reason.is_empty() => reason = loader_words(&error),
            Err(_) => {}
        }
    }
    Err(LoadError::Missing { reason })
}

/// The dynamic loader's own message, which stands behind libloading's.
fn loader_words(error: &libloading::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

/// # Safety
/// `T` must be the function pointer type of `name`, and must not outlive `library`.
unsafe fn symbol<T: Copy>(library: &Library, name: &CStr, function: &'static str) -> Result<T, LoadError> {
    // SAFETY: the caller vouches for the type.
    let found: Result<Symbol<T>, _> = unsafe { library.get(name.to_bytes_with_nul()) };
    match found {
        Ok(symbol) => Ok(*symbol),
        Err(error) => Err(LoadError::Incomplete { function, reason: loader_words(&error) }),
    }
}

fn text(string: *const c_char) -> String {
    if string.is_null() {
        return String::new();
    }
    // SAFETY: every caller passes a zero-terminated string of libpcap's or of its own, alive for this call.
    unsafe { CStr::from_ptr(string) }.to_string_lossy().into_owned()
}

fn snaplen_or_max(snaplen: u32) -> c_int {
    let snaplen = if snaplen == 0 { MAX_SNAPLEN } else { snaplen.min(MAX_SNAPLEN) };
    c_int::try_from(snaplen).unwrap_or(c_int::MAX)
}

/// libpcap's number of a link type on Linux; the few that differ from those in files are in `pcap-common.c`.
fn dlt(linktype: u16) -> c_int {
    match linktype {
        100 => 11,
        101 => 12,
        102 => 15,
        103 => 16,
        106 => 19,
        same => c_int::from(same),
    }
}

/// The pointers are plain code addresses; nothing here is tied to a thread.
const _: () = {
    const fn send_and_sync<T: Send + Sync>() {}
    send_and_sync::<Libpcap>();
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_library_is_answered_with_the_package_and_the_way_around() {
        let error = open(&["libpcap-that-is-not-there.so.1"]).map(|_| ()).unwrap_err().to_string();
        for part in ["libpcap-that-is-not-there.so.1", "libpcap0.8", "(others)", "tcpdump -ddd", "--bpf FILE"]
        {
            assert!(error.contains(part), "{error:?} lacks {part:?}");
        }
    }

    #[test]
    fn a_library_without_the_functions_is_named_as_too_old() {
        let library = open(&["libc.so.6"]).unwrap();
        // SAFETY: the function is not there, so no pointer of this type is made.
        let error =
            unsafe { symbol::<Close>(&library, c"pcap_close", "pcap_close") }.map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("lacks pcap_close"), "{error}");
    }
}
