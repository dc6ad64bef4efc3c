# An nginx of a test.
#
# Options: sidecar (address of its weftd), workers (1), daemon (goes to the background, as binary upgrades need),
# single (no master: `master_process off`), listen (what `listen` says besides the first address, a list),
# reuseport (on when there are several workers, so that each gets connections), main, http, server, location (text for that level; `location` goes into /ws after weft_websocket and replaces
# the default weft_ticket), rules (channel rules, a default is given), user, connections (4096), events (text for that
# block), level (of the error log), zone (size of weft_zone, 4m), helpers (cache processes that nginx will start
# beside its workers), stopped (isn't started).
package Weft::Test::Nginx;
use v5.30;
use warnings;

use parent 'Weft::Test::Part';

use HTTP::Tiny;
use IO::Socket::IP;
use JSON::PP ();

use Weft::Client;
use Weft::Test::Daemon;

our $RULES = <<'RULES';
    weft_channel chat:*   { publish on; }
    weft_channel user:**  { publish on; }
    weft_channel ticker:* { }
RULES

sub new {
    my ($class, $test, $name, %options) = @_;
    my $folder = $test->prefix . "/nginx-$name";
    mkdir $folder      or die "$folder: $!\n";
    mkdir "$folder/$_" or die "$folder/$_: $!\n" for qw(temp html);
    my $self = bless {
        kind => 'nginx', name => $name, folder => $folder, test => $test, options => \%options, port => $test->port,
    }, $class;
    return $self;
}

sub port      { $_[0]{port} }
sub logs      { ("$_[0]{folder}/error.log", $_[0]->output) }
sub error_log { Weft::Test::slurp("$_[0]{folder}/error.log") }
# A master kills workers that take longer than a second to end, and a sanitizer's search for leaks may.
sub alarming {
    my $killed = $ENV{ASAN_OPTIONS} ? qr/\[alert\] \S+ worker process \d+ exited on signal 9$/ : qr/(?!)/;
    return qr/^(?!.*$killed).*(?:\[(?:alert|emerg|crit)\]|open socket|exited on signal|$Weft::Test::Part::SANITIZER)/;
}

# ---- configuration ---------------------------------------------------------------------------------------------------

sub configuration {
    my ($self, %change) = @_;
    my %o       = (%{ $self->{options} }, %change);
    my $key     = $self->{test}->key_file;
    my $sidecar = $o{sidecar} // "ipc://$self->{folder}/nobody.sock";
    my @listen  = ("127.0.0.1:$self->{port}" . (($o{reuseport} // ($o{workers} // 1) > 1) ? ' reuseport' : ''), @{ $o{listen} // [] });
    my $listen  = join '', map { "        listen $_;\n" } @listen;
    my $user    = $o{user} // ($> == 0 ? 'root' : undef);
    my $paths   = join '',
        map { "    ${_}_temp_path temp/$_;\n" } qw(client_body proxy fastcgi uwsgi scgi);
    my $level = $o{level} // $ENV{WEFT_LOG} // 'info';
    return join '',
        $o{daemon} ? '' : "daemon off;\n",
        $o{single} ? "master_process off;\n" : '',
        $> == 0 ? "user $user;\n" : '',
        'worker_processes ' . ($o{workers} || 1) . ";\n",
        "load_module $Weft::Test::BUILD/ngx_http_weft_module.so;\n",
        "error_log error.log $level;\n",
        "pid nginx.pid;\n",
        $ENV{WEFT_CORES} ? "worker_rlimit_core 2g;\nworking_directory $ENV{WEFT_CORES};\n" : '',
        $o{main} // '',
        'events { worker_connections ' . ($o{connections} // 4096) . '; ' . ($o{events} // '') . " }\n",
        "http {\n",
        "    access_log access.log;\n",
        $paths,
        "    weft_sidecar $sidecar;\n",
        '    weft_zone ' . ($o{zone} // '4m') . ";\n",
        $o{rules} // $RULES,
        $o{http}  // '',
        "    server {\n", $listen,
        $o{server} // '',
        "        location /ws {\n            weft_websocket;\n",
        '            ' . ($o{location} // "weft_ticket key=$key;") . "\n        }\n",
        "        location ~ ^/publish/(.+)\$ { weft_publish \$1; }\n",
        "        location = /status { weft_status; }\n",
        "    }\n",
        "}\n";
}

sub write_configuration {
    my ($self, %change) = @_;
    return Weft::Test::spew("$self->{folder}/nginx.conf", $self->configuration(%change));
}

# nginx -t over a text: (exit status, output).
sub test_configuration {
    my ($self, $text) = @_;
    Weft::Test::spew("$self->{folder}/try.conf", $text);
    my $output = qx{'$Weft::Test::NGINX' -t -p '$self->{folder}/' -e stderr -c '$self->{folder}/try.conf' 2>&1};
    return ($? >> 8 || $? & 127, $output);
}

# ---- running ---------------------------------------------------------------------------------------------------------

sub start {
    my ($self) = @_;
    $self->write_configuration;
    $self->_launch($Weft::Test::NGINX, '-p', "$self->{folder}/", '-e', "$self->{folder}/error.log",
        '-c', "$self->{folder}/nginx.conf");
    $self->_follow_daemon if $self->{options}{daemon};
    my $up = Weft::Test::wait_for(
        sub {
            return 'ended' unless $self->running;
            return $self->workers == $self->_wanted && $self->_accepts;
        });
    die $self->title . " did not start:\n" . $self->log_text unless $up && $up ne 'ended';
    return $self;
}

# The launched process ends once the daemon has left it. Its group is killed with it, so the daemon must be seen to have a
# group of its own before.
sub _follow_daemon {
    my ($self) = @_;
    my $launcher = $self->{process};
    Weft::Test::wait_for(sub { !Weft::Test::Process::lives($launcher->pid) })
        or die $self->title . " doesn't go to the background\n";
    my $pid = Weft::Test::wait_for(
        sub {
            my $pid = $self->_pid_in('nginx.pid');
            return $pid && (getpgrp($pid) // 0) == $pid && $pid;
        },
        $self->error_log =~ /\[emerg\]/ ? 0 : undef);
    my $status = $launcher->wait_end;
    die $self->title . " did not start (status $status):\n" . $self->log_text unless $pid && !$status;
    $self->{process} = $self->_adopt($pid);
    return;
}

sub _pid_in { my ($self, $file) = @_; return (Weft::Test::slurp("$self->{folder}/$file") =~ /^(\d+)\n/)[0] }

sub _adopt {
    my ($self, $pid, $beside) = @_;
    return Weft::Test::Daemon->adopt(
        name => $self->title, pid => $pid, log => sub { $self->error_log }, beside => $beside);
}

sub _accepts {
    my ($self) = @_;
    return !!IO::Socket::IP->new(PeerHost => '127.0.0.1', PeerPort => $self->{port});
}

# How many child processes a healthy one has.
sub _wanted {
    my ($self, $workers) = @_;
    return ($workers // $self->{options}{workers} // 1) + ($self->{options}{helpers} // 0);
}

# Process ids of the workers (and cache processes).
sub workers {
    my ($self) = @_;
    return $self->workers_of($self->{process});
}

# Process ids of the workers of one master, of several that a binary upgrade makes.
sub workers_of {
    my ($self, $master) = @_;
    my %masters = map { $_->pid => 1 } @{ $self->{masters} // [] };
    my @workers = $self->{options}{single} ? $master->pid : grep { !$masters{$_} } $master->children;
    return @workers;
}

# SIGHUP; returns the old workers' ids when new ones have taken over and the old ones know that they are to go.
sub reload {
    my ($self, %change) = @_;
    $self->write_configuration(%change);
    my %old = map { $_ => 1 } $self->workers;
    $self->signal('HUP');
    my $want = $self->_wanted($change{workers});
    Weft::Test::wait_for(sub { $want == grep { !$old{$_} } $self->workers }) or die "no new workers after a reload\n";
    for my $pid (keys %old) {
        Weft::Test::wait_for(sub { !-d "/proc/$pid" || $self->error_log =~ /\] $pid#\d+: gracefully shutting down/ })
            or die "worker $pid was not told to quit by a reload\n";
    }
    return sort keys %old;
}

# SIGUSR2: another master with workers of its own beside the one that runs; the masters are returned, old and new. What
# this object does from then on it does with the new one.
sub upgrade {
    my ($self) = @_;
    my $old = $self->{process};
    push @{ $self->{masters} }, $old unless $self->{masters};
    $old->signal('USR2');
    my $pid = Weft::Test::wait_for(
        sub {
            my $pid = $self->_pid_in('nginx.pid');
            return $pid && $pid != $old->pid && $self->_pid_in('nginx.pid.oldbin') && $pid;
        }) or die $self->title . " has no new master after SIGUSR2\n";
    my $new = $self->_adopt($pid, $old);
    push @{ $self->{masters} }, $new;
    $self->follow($new);
    Weft::Test::wait_for(sub { $self->workers == $self->_wanted }) or die "no new workers after SIGUSR2\n";
    return ($old, $new);
}

# Works with this master from now on.
sub follow { my ($self, $master) = @_; $self->{process} = $master; return }

# Whether these processes have all ended, or do in time.
sub wait_gone {
    my ($self, @pids) = @_;
    return Weft::Test::wait_for(sub { !grep { Weft::Test::Process::lives($_) } @pids });
}

# The worker that holds a client's connection, by the kernel's tables.
sub worker_of {
    my ($self, $client) = @_;
    my $here = sprintf ':%04X', $self->{port};
    my $there = sprintf ':%04X', $client->local_port;
    my ($inode) = map { (split ' ')[9] } grep { my @f = split ' '; $f[1] =~ /$here$/ && $f[2] =~ /$there$/ }
        split /\n/, Weft::Test::slurp('/proc/net/tcp');
    return unless $inode;
    for my $pid ($self->workers) {
        return $pid if grep { (readlink // '') eq "socket:[$inode]" } glob "/proc/$pid/fd/*";
    }
    return;
}

# How many sockets a process has, and how much memory it holds resident (bytes).
sub sockets_of     { my ($self, $pid) = @_; return scalar grep { (readlink // '') =~ /^socket:/ } glob "/proc/$pid/fd/*" }
sub descriptors_of { my ($self, $pid) = @_; return scalar(my @all = glob "/proc/$pid/fd/*") }

# The lines of the access log that a pattern fits, once there are at least $count of them (or that never comes).
sub access_lines {
    my ($self, $pattern, $count) = @_;
    my @lines;
    Weft::Test::wait_for(
        sub {
            @lines = grep { $_ =~ $pattern } split /\n/, Weft::Test::slurp("$self->{folder}/access.log");
            return @lines >= ($count // 1);
        });
    return @lines;
}

sub memory_of { my ($self, $pid) = @_; return _kilobytes($pid, 'VmRSS') }

# The most that it held resident since forget_peak, or since it was started. What comes and goes between two looks is seen.
sub peak_memory_of { my ($self, $pid) = @_; return _kilobytes($pid, 'VmHWM') }

# Starts peak_memory_of over; returns what the process holds now. Undef when the kernel doesn't let that be done (it takes
# the process's user, or root): the peak is then of all its life, and says nothing of what comes.
sub forget_peak {
    my ($self, $pid) = @_;
    open my $file, '>', "/proc/$pid/clear_refs" or return;
    syswrite $file, '5' or return;
    return $self->memory_of($pid);
}

# What it may write to and no other process has, touched or not: more than it holds resident. Not of use where a sanitizer
# maps memory of its own.
sub mapped_by { my ($self, $pid) = @_; return _kilobytes($pid, 'VmData') }

sub _kilobytes {
    my ($pid, $what) = @_;
    return ((Weft::Test::slurp("/proc/$pid/status") =~ /^$what:\s+(\d+) kB/m)[0] // 0) * 1024;
}

# ---- HTTP ------------------------------------------------------------------------------------------------------------

# As HTTP::Tiny's request; the answer has `json` when its body is JSON.
sub request {
    my ($self, $method, $path, %options) = @_;
    my $answer = HTTP::Tiny->new(timeout => $Weft::Client::TIMEOUT, keep_alive => 0)
        ->request($method, "http://127.0.0.1:$self->{port}$path", \%options);
    $answer->{json} = eval { JSON::PP->new->utf8->decode($answer->{content}) };
    return $answer;
}

# Sends bytes and returns the answer: {status, headers, body, bytes}. With an upgrade it ends behind the headers.
sub exchange {
    my ($self, $bytes) = @_;
    my $client = Weft::Client->dial(port => $self->{port});
    $client->raw_send($bytes);
    $client->_read_until(sub { $client->{in} =~ /\r\n\r\n/ }, 'an answer');
    my ($head) = split /\r\n\r\n/, $client->{in}, 2;
    if ($head !~ m{^HTTP/1\.[01] (?:1\d\d|204|304) }) {
        my ($length) = $head =~ /^Content-Length: (\d+)/mi;
        $length = 0 if $bytes =~ /^HEAD /;
        my $whole = length($head) + 4 + ($length // 1e9);
        $client->_read_until(sub { length $client->{in} >= $whole || $client->{eof} }, 'the whole answer');
    }
    my $all = $client->{in};
    my $body = substr $all, length($head) + 4;
    my ($line, @headers) = split /\r\n/, $head // '';
    my %headers;
    for (@headers) {
        my ($name, $value) = split /:\s*/, $_, 2;
        $headers{ lc $name } = defined $headers{ lc $name } ? "$headers{ lc $name }, $value" : $value;
    }
    return {
        status  => ($line // '') =~ m{^HTTP/1\.[01] (\d+)} ? $1 : 0,
        headers => \%headers,
        body    => $body // '',
        bytes   => $all,
    };
}

1;
