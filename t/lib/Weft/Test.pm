# The harness of t/*.t: a temporary prefix with as many nodes as a test wants, each a real nginx with the module and a
# real weftd, on free ports of the loopback.
#
#     my $t    = Weft::Test->new;
#     my $node = $t->node('a', workers => 2);
#     check 'a subscriber gets what is published' => sub { … };
#     $t->finish;
#     done_testing;
#
# Environment: WEFT_BUILD (folder of the module and of weftd; default: build/ beside t/), WEFT_NGINX (default: nginx in
# PATH, or /usr/sbin/nginx), WEFT_KEEP=1 (leaves the prefix), WEFT_LOG=debug (nginx's error log level), WEFT_TIMEOUT
# (seconds that anything is waited for), WEFT_SHARDS (so many shards have weftds of tests that don't say), WEFT_CORES (a folder where crashed workers leave core files). With ASAN_OPTIONS
# set, what sanitizers say of any process goes to a file of its own, and fails the test at finish().
package Weft::Test;
use v5.30;
use warnings;

use Cwd ();
use Exporter 'import';
use File::Basename qw(dirname);
use File::Temp ();
use IO::Socket::IP;
use IO::Socket::UNIX;
use Socket qw(SOCK_DGRAM SOCK_STREAM);
use Test::More ();
use Time::HiRes qw(sleep time);

use Weft::Client;
use Weft::Test::BackEnd;
use Weft::Test::Nginx;
use Weft::Test::Node;
use Weft::Test::Process;
use Weft::Test::Weftd;
use Weft::Ticket;

our @EXPORT = qw(check wait_for grew_less slurp spew);

my $top = Cwd::abs_path(dirname(__FILE__) . '/../../..');
our $BUILD = Cwd::abs_path($ENV{WEFT_BUILD} // "$top/build") // '';
our $NGINX = $ENV{WEFT_NGINX}
    // (grep { -x } map { "$_/nginx" } split(/:/, $ENV{PATH}), '/usr/sbin', '/usr/local/sbin')[0] // 'nginx';

# One more than an HS256 key must have; no test depends on the bytes.
our $KEY = 'a key of the tests, which is 33 b';

# Bytes that a bound on a process's memory must allow for beside its subject: a sanitizer keeps what is freed for a while
# (scripts/check.sh says how much), and surrounds what isn't.
our $SANITIZER_MEMORY = $ENV{ASAN_OPTIONS} ? 64 << 20 : 0;

$SIG{$_} = sub { exit 130 } for qw(INT TERM HUP);    # so that END blocks run

# ---- what tests say --------------------------------------------------------------------------------------------------

# A subtest that fails, rather than ends the file, when its code dies.
sub check {
    my ($statement, $code) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return Test::More::subtest(
        $statement => sub {
            my $began = time;
            if (!eval { $code->(); 1 }) {
                Test::More::fail('no step of it dies');
                Test::More::diag($@);
            }
            Test::More::note(sprintf 'took %.1f s', time - $began) if time - $began > 1;
        });
}

# Calls the block until it returns true, and returns that; false when it hasn't in time.
sub wait_for(&;$) {
    my ($condition, $seconds) = @_;
    my $until = time + ($seconds // $Weft::Client::TIMEOUT);
    my $pause = 0.002;
    while (1) {
        my $result = $condition->();
        return $result if $result;
        return $result if time > $until;
        sleep $pause;
        $pause *= 1.5 if $pause < 0.05;
    }
}

# That a process of this nginx held, at no moment since forget_peak returned $before, $bound bytes more. $else is what it
# would hold if the thing that is tested didn't work: a bound that isn't far from that says nothing, and beside what a
# sanitizer takes there may be none.
sub grew_less {
    my ($nginx, $pid, $before, $bound, $else, $statement) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    die "$statement: a bound of $bound bytes doesn't tell it from $else\n" if $else < 2 * $bound;
    my $builder = Test::More->builder;
    return $builder->skip('the peak of its memory can not be told: /proc/PID/clear_refs takes nothing') unless defined $before;
    my $grown = $nginx->peak_memory_of($pid) - $before;
    my $says  = sprintf '%s: its memory grew by %.1f MB at most', $statement, $grown / (1 << 20);
    return $builder->skip("a sanitizer's own memory hides it ($says)") if $SANITIZER_MEMORY && $else < 1.2 * ($bound + $SANITIZER_MEMORY);
    return $builder->cmp_ok($grown, '<', $bound + $SANITIZER_MEMORY, $says);
}

sub slurp {
    my ($path) = @_;
    open my $file, '<:raw', $path or return '';
    local $/;
    return <$file> // '';
}

sub spew {
    my ($path, $text) = @_;
    open my $file, '>:raw', $path or die "$path: $!\n";
    print {$file} $text;
    close $file or die "$path: $!\n";
    return $path;
}

# ---- the prefix ------------------------------------------------------------------------------------------------------

my @live;

# needs => [] for a test that can do without module and weftd.
sub new {
    my ($class, %options) = @_;
    my @needs   = @{ $options{needs} // [qw(ngx_http_weft_module.so weftd)] };
    my @missing = grep { !-e "$BUILD/$_" } @needs;
    Test::More::BAIL_OUT("not built: @missing in $BUILD (make build, or set WEFT_BUILD)") if @missing;

    my $prefix = File::Temp::tempdir('weft-t-XXXXXXXX', TMPDIR => 1, CLEANUP => 0);
    chmod 0755, $prefix;
    mkdir "$prefix/reports", 01777 or die "$prefix/reports: $!\n";
    Weft::Test::Process::guard_folder($prefix);
    my $self = bless { prefix => $prefix, parts => [], expected => [], owner => $$ }, $class;
    spew($self->key_file, "$KEY\n");
    push @live, $self;
    return $self;
}

sub prefix   { $_[0]{prefix} }
sub key_file { "$_[0]{prefix}/ticket.key" }

# What sanitizers (or another tool that a test runs its parts under) wrote, each process to a file of its own.
sub reports { my ($self) = @_; return sort glob "$self->{prefix}/reports/*" }

# The environment that makes sanitizers write there.
sub report_environment {
    my ($self) = @_;
    return unless $ENV{ASAN_OPTIONS};
    return map { $_ => join ':', $ENV{$_} // (), "log_path=$self->{prefix}/reports/sanitizer" }
        qw(ASAN_OPTIONS UBSAN_OPTIONS);
}

# A ticket that these servers take: $t->ticket(sub => 'bob', …), see Weft::Ticket.
sub ticket { my ($self, %change) = @_; return Weft::Ticket::ticket($KEY, %change) }

# A port that nobody listens on, nor on as many behind it as a weftd's shards may take. They stay reserved among
# concurrent tests by abstract unix sockets of their numbers.
sub port {
    my ($self, $count) = @_;
    $count //= $ENV{WEFT_SHARDS} || 1;
    for (1 .. 1000) {
        my $port = 10_000 + int rand 20_000;    # below the ephemeral ports
        my @marks = map { $self->_reserve($_) } $port .. $port + $count - 1;
        next if @marks < $count;
        push @{ $self->{marks} }, @marks;
        return $port;
    }
    die "no free port\n";
}

sub _reserve {
    my ($self, $port) = @_;
    my $mark = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => "\0weft-test-port-$port") or return;
    my $free = IO::Socket::IP->new(LocalHost => '127.0.0.1', LocalPort => $port, Listen => 1, Type => SOCK_STREAM)
        or return;
    close $free;
    return $mark;
}

# A line in a log that would fail the test at finish(), but is what the test is about.
sub expect_in_log { my ($self, $pattern) = @_; push @{ $self->{expected} }, $pattern; return }

# ---- its parts -------------------------------------------------------------------------------------------------------

# A weftd with an nginx before it, started and linked. Options: those of Weft::Test::Nginx and Weft::Test::Weftd.
sub node {
    my ($self, $name, %options) = @_;
    my $weftd = $self->weftd($name, %options);
    my $nginx = $self->nginx($name, sidecar => $weftd->worker_address, %options);
    my $node  = Weft::Test::Node->new(test => $self, name => $name, weftd => $weftd, nginx => $nginx);
    $node->wait_linked unless $options{unlinked};
    return $node;
}

sub weftd { my ($self, $name, %options) = @_; return $self->_add(Weft::Test::Weftd->new($self, $name, %options)) }
# An application's process; options: those of Weft::Test::BackEnd.
sub back_end { my ($self, $name, %options) = @_; return $self->_add(Weft::Test::BackEnd->new($self, $name, %options)) }
sub nginx { my ($self, $name, %options) = @_; return $self->_add(Weft::Test::Nginx->new($self, $name, %options)) }

sub _add {
    my ($self, $part) = @_;
    push @{ $self->{parts} }, $part;
    $part->start unless $part->{options}{stopped};
    return $part;
}

# Nodes that know each other as peers, started and meshed: $t->mesh('a', 'b').
sub mesh {
    my ($self, @names) = @_;
    my %options = ref $names[-1] ? %{ pop @names } : ();
    my %listen  = map { $_ => 'tcp://127.0.0.1:' . $self->port } @names;
    my @nodes   = map {
        my $name = $_;
        $self->node($name, mesh => $listen{$name}, peers => [ map { $listen{$_} } grep { $_ ne $name } @names ],
            %options);
    } @names;
    return @nodes;
}

# ---- the end ---------------------------------------------------------------------------------------------------------

# Stops what still runs and looks at what it left: each part must end on SIGTERM with status 0, and must have logged
# nothing alarming.
sub finish {
    my ($self) = @_;
    $self->{finished} = 1;
    for my $part (reverse @{ $self->{parts} }) {
        next unless $part->running;
        my $status = $part->stop;
        Test::More::is($status, 0, $part->title . ' ends with status 0 on SIGTERM')
            or $part->kill_all;
    }
    for my $part (@{ $self->{parts} }) {
        my @alarming = grep {
            my $line = $_;
            !grep { $line =~ $_ } @{ $self->{expected} };
        } $part->alarming_lines;
        Test::More::is(scalar @alarming, 0, $part->title . ' logged nothing alarming')
            or Test::More::diag(join "\n", @alarming[0 .. ($#alarming > 19 ? 19 : $#alarming)]);
    }
    if ($ENV{ASAN_OPTIONS}) {
        my @reports = $self->reports;
        Test::More::is(scalar @reports, 0, 'no process made a sanitizer report');
        Test::More::diag(slurp($_)) for @reports[ 0 .. ($#reports > 4 ? 4 : $#reports) ];
    }
    $self->_show_logs unless Test::More->builder->is_passing;
    return;
}

sub _show_logs {
    my ($self) = @_;
    for my $part (@{ $self->{parts} }) {
        for my $log ($part->logs) {
            my @lines = split /\n/, slurp($log);
            next unless @lines;
            my @last = @lines[ (@lines > 40 ? -40 : -@lines) .. -1 ];
            Test::More::diag("---- the end of $log");
            Test::More::diag($_) for @last;
        }
    }
    return;
}

END {
    my $status = $?;
    for my $self (@live) {
        next unless $self->{owner} == $$;
        if (!$self->{finished} && @{ $self->{parts} }) {
            Test::More::fail('the test ran to its end');
            $self->_show_logs;
            $status ||= 1;
        }
        $_->kill_all for reverse @{ $self->{parts} };
        if ($ENV{WEFT_KEEP}) {
            Weft::Test::Process::keep_folder();
            Test::More::diag("kept: $self->{prefix}");
        }
    }
    Weft::Test::Process::dismiss_guard();
    $? = $status;
}

1;
