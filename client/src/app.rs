//! What every command is given: where to print, what the environment says, what is remembered, and how
//! to come to a session with the server.

use std::io::{self, BufRead as _, IsTerminal as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::cli::Globals;
use crate::connect::{
    Address, Asked, Dialer, Keeper, Login, Opening, Patience, Pin, Session, Timetable, Trusted,
};
use crate::error::{Error, Exit, Result};
use crate::output::{Output, Style};
use crate::settings::Environment;
use crate::state::{Remembered, StateDir, Tokens};

/// A token that has less time than this left is renewed before it is used.
const EXPIRES_SOON: i64 = 30;

/// A signal comes to its listener a little later than it was sent.
const HEARD_LATE: Duration = Duration::from_millis(500);

/// How long a Ctrl-C is for somebody else.
#[derive(Clone, Copy)]
enum Ignored {
    ForNow,
    Until(Instant),
}

/// One run of `depot`.
pub(crate) struct App {
    pub(crate) output: Arc<Output>,
    pub(crate) environment: Environment,
    pub(crate) state: StateDir,
    no_input: bool,
    yes: bool,
    connections: usize,
    retry_for: Duration,
    bwlimit: Option<Timetable>,
    after_interrupt: Mutex<Option<String>>,
    ignores_interrupts: Mutex<Option<Ignored>>,
}

impl App {
    pub(crate) fn new(globals: &Globals) -> Result<Self> {
        let style = Style {
            json: globals.json,
            quiet: globals.quiet,
            verbose: globals.verbose,
            plain: globals.no_color,
        };
        let environment = Environment::read();
        Ok(Self {
            output: Arc::new(Output::new(style)),
            state: StateDir::locate(&environment)?,
            environment,
            no_input: globals.no_input,
            yes: globals.yes,
            connections: globals.connections,
            retry_for: globals.retry_for,
            bwlimit: globals.bwlimit.clone(),
            after_interrupt: Mutex::new(None),
            ignores_interrupts: Mutex::new(None),
        })
    }

    /// The session that the last login, or the environment, gives.
    pub(crate) async fn session(&self) -> Result<Session> {
        let remembered = self.state.load()?;
        let address = self.address(None, &remembered)?;
        let known = self.known(&address, &remembered);
        let token = self.environment.token.clone();
        let tokens = match &token {
            Some(_) => None,
            None => Some(self.tokens(&address, known)?),
        };
        let asked = self.asked(known)?;
        let trusted = Trusted::establish(self, &address, asked).await?;
        let account = self.account(known);
        let keeper = tokens.map(|tokens| {
            let account = account.clone().unwrap_or_default();
            let login = Login { address: address.clone(), account };
            Keeper::new(self.state.clone(), login, tokens.token.clone())
        });
        let opening = Opening {
            dialer: Dialer::new(address.clone(), trusted.authorities(), self.retry_for)?,
            account,
            token: token.or_else(|| tokens.map(|tokens| tokens.token.clone())),
            keeper,
            address,
            connections: self.connections,
            retry_for: self.retry_for,
            bwlimit: self.bwlimit.clone(),
            output: Some(self.output.clone()),
        };
        let session = Session::open(opening)?;
        if tokens.is_some_and(|tokens| tokens.expires_at < now() + EXPIRES_SOON) {
            session.renew().await?;
        }
        Ok(session)
    }

    /// A session with nobody's token, to log in with.
    pub(crate) fn guest(&self, address: &Address, trusted: &Trusted) -> Result<Session> {
        Session::open(Opening {
            dialer: Dialer::new(address.clone(), trusted.authorities(), self.retry_for)?,
            address: address.clone(),
            account: None,
            token: None,
            keeper: None,
            connections: 1,
            retry_for: self.retry_for,
            bwlimit: None,
            output: Some(self.output.clone()),
        })
    }

    /// The server that is meant: named on the command line, in the environment, or the last one.
    pub(crate) fn address(&self, named: Option<&str>, remembered: &Remembered) -> Result<Address> {
        let given = named.or(self.environment.server.as_deref()).or(remembered.server.as_deref());
        match given {
            Some(text) => Address::parse(text),
            None => Err(not_logged_in("HOST:PORT", "NAME")),
        }
    }

    /// What is remembered about this server, and not about another one.
    pub(crate) fn known<'a>(
        &self,
        address: &Address,
        remembered: &'a Remembered,
    ) -> Option<&'a Remembered> {
        let server = remembered.server.as_deref()?;
        (Address::parse(server).ok()? == *address).then_some(remembered)
    }

    /// What the environment and the last login say about whom to trust.
    pub(crate) fn asked(&self, known: Option<&Remembered>) -> Result<Asked> {
        Ok(Asked {
            ca: self.environment.ca.clone(),
            pin: self.environment.pin.as_deref().map(str::parse).transpose()?,
            remembered: known.and_then(|known| known.ca.clone()),
        })
    }

    /// What to say after Ctrl-C from now on, in place of what the verb always says.
    pub(crate) fn say_after_interrupt(&self, hint: String) {
        *lock(&self.after_interrupt) = Some(hint);
    }

    /// What to say after Ctrl-C, if the command knows better than its verb.
    pub(crate) fn after_interrupt(&self) -> Option<String> {
        lock(&self.after_interrupt).clone()
    }

    /// Does what has the terminal to itself: a Ctrl-C is not for us meanwhile.
    pub(crate) fn without_interrupts<T>(&self, op: impl FnOnce() -> T) -> T {
        let ignore = |until| *lock(&self.ignores_interrupts) = until;
        ignore(Some(Ignored::ForNow));
        let done = op();
        ignore(Some(Ignored::Until(Instant::now() + HEARD_LATE)));
        done
    }

    /// Whether a Ctrl-C that is heard now was for somebody else.
    pub(crate) fn ignores_interrupts(&self) -> bool {
        match *lock(&self.ignores_interrupts) {
            None => false,
            Some(Ignored::ForNow) => true,
            Some(Ignored::Until(end)) => Instant::now() < end,
        }
    }

    /// Whether a person can be asked.
    pub(crate) fn is_interactive(&self) -> bool {
        !self.no_input && io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Whether a person may not be asked.
    pub(crate) fn has_no_input(&self) -> bool {
        self.no_input
    }

    /// A yes or a no; no where nobody can be asked, yes with `--yes`.
    pub(crate) fn confirm(&self, question: &str) -> Result<bool> {
        if self.yes {
            self.output.notice(question);
            self.output.notice("yes (--yes)");
            return Ok(true);
        }
        if !self.is_interactive() {
            return Ok(false);
        }
        self.output.notice(&format!("{question} [y/N]"));
        let mut answer = String::new();
        let read = io::stdin().lock().read_line(&mut answer);
        read.map_err(|error| Error::io("read the answer", &error))?;
        Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
    }

    /// Connections that file data is spread over.
    pub(crate) fn connections(&self) -> usize {
        self.connections
    }

    /// The pin of the authority that a server is trusted by, where it is one.
    pub(crate) fn trusted_pin(&self, address: &Address) -> Result<Option<Pin>> {
        let remembered = self.state.load()?;
        let asked = self.asked(self.known(address, &remembered))?;
        Trusted::pin(asked)
    }

    /// How fast the bytes of files may go.
    pub(crate) fn bwlimit(&self) -> Option<Timetable> {
        self.bwlimit.clone()
    }

    /// How long an unreachable server is tried again.
    pub(crate) fn retry_for(&self) -> Duration {
        self.retry_for
    }

    /// Does it until it works, as long as that may still be.
    pub(crate) async fn patiently<T, Fut>(&self, mut op: impl FnMut() -> Fut) -> Result<T>
    where
        Fut: Future<Output = Result<T>>,
    {
        let mut patience = Patience::new(self.retry_for);
        loop {
            match op().await {
                Ok(done) => return Ok(done),
                Err(error) => patience.wait(error).await?,
            }
        }
    }

    fn account(&self, known: Option<&Remembered>) -> Option<String> {
        let named = self.environment.account.clone();
        match self.environment.token {
            // A token says itself whose it is; the remembered name need not be it.
            Some(_) => named,
            None => named.or_else(|| known.and_then(|known| known.account.clone())),
        }
    }

    fn tokens<'a>(&self, address: &Address, known: Option<&'a Remembered>) -> Result<&'a Tokens> {
        let wanted = self.environment.account.as_deref();
        let missing = || not_logged_in(&address.to_string(), wanted.unwrap_or("NAME"));
        let known = known.ok_or_else(missing)?;
        let is_wanted =
            |account: &str| wanted.is_none_or(|name| name.eq_ignore_ascii_case(account));
        match &known.tokens {
            Some(tokens) if known.account.as_deref().is_some_and(is_wanted) => Ok(tokens),
            _ => Err(missing()),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn not_logged_in(server: &str, account: &str) -> Error {
    let message = format!("not logged in; run: depot login --server {server} --account {account}");
    Error::new(Exit::Unauthenticated, "NOT_LOGGED_IN", message)
}
