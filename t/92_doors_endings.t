# How it ends, at every door: tickets that end, decisions, readers that are slow, reloads, crashes. (t/92_doors.t: the rest.)
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use Test::More;
use Time::HiRes qw(time);
use Weft::Door::Promise;
use Weft::Test;

plan skip_all => 'no curl that speaks HTTP/2' unless qx{curl --version 2>/dev/null} =~ /\bHTTP2\b/;

my $t   = Weft::Test->new;
my $key = $t->key_file;
my ($here, $there) = nodes_with_doors($t, 'a', 'b', {
    http     => "    weft_drain 2s;\n    weft_reload drain;\n    weft_log_format ends '\$weft_user|\$weft_close_code|\$weft_closed_by|\$weft_messages_out|\$weft_bytes_out|\$uri';\n    weft_log ends.log ends;\n",
    server   => "        location /api/ { weft_api; }\n",
    variants => {
        idle  => 'weft_heartbeat 10m;',
        short => "weft_ticket key=$key leeway=1s; weft_expiry_notice off;",
        slow  => 'weft_send_queue 64k; weft_heartbeat 10m;',
    },
});
my $speaker = $there->client(sub => 'speaker', with => { path => '/ws-idle' });

sub say_all { my ($channel, @data) = @_; $speaker->must('publish', channel => $channel, data => $_) for @data; return }

sub api { my ($command, %parameters) = @_;
    my $answer = $here->nginx->request(POST => "/api/$command", content => encode_json(\%parameters), headers => { 'Content-Type' => 'application/json' });
    is($answer->{status}, 202, "$command is accepted") or diag($answer->{content});
    return;
}

sub held { return all_held($here, 0, @_) }

sub nobody_left { return nothing_left($here) }

# ---- what the server decides -----------------------------------------------------------------------------------------

{
    my $ends = time + 10;    # all doors are to be open by then
    my @all  = map { [ $_, $_->listen($here, channel => 'doors:open:expiry', at => 'short', exp => $ends, sub => 'mayfly-' . $_->key) ] } doors_for('expiry');
    for (@all) {
        my ($door, $one) = @$_;
        check $door->name . ': the end of the ticket ends it' => sub {
            my $end = $one->ending;
            cmp_ok(time, '>', $ends - 0.3, 'not before');
            # Of a poll that was answered just then the next one is refused.
            is($end->{refused} ? 4012 : $end->{code}, 4012, 'with 4012');
            my $refusal;
            ok(wait_for { $refusal = eval { $door->refusal($here, channel => 'doors:open:expiry', at => 'short', exp => $ends) } }, 'and opens no door any more');
            is($refusal->{code}, 4002, 'with 4002');
            $one->cut;
        };
    }
    nobody_left();
}

each_door 'decisions', 'disconnect ends it, and one may come back' => sub {
    my ($door) = @_;
    my %how = (channel => 'doors:open:gone', sub => 'gone-' . $door->key);
    my @all = map { $door->listen($here, %how, $_ ? (sub => 'stays') : ()) } 0, 1;
    held(@all);
    api(disconnect => user => "gone-" . $door->key);
    is($all[0]->ending->{code}, 4013, 'with 4013');
    say_all('doors:open:gone', 1);
    is($all[1]->event->{data}, 1, 'another user stays');
    $_->cut for @all;
    $door->listen($here, %how)->cut;
    nobody_left();
};

each_door 'decisions', 'a ban ends it, and keeps one out until it is over' => sub {
    my ($door) = @_;
    my $user = 'banned-' . $door->key;
    my %how  = (channel => 'doors:open:ban', sub => $user);
    my $one  = $door->listen($here, %how);
    held($one);
    api(ban => user => $user, seconds => 3600);
    is($one->ending->{code}, 4009, 'with 4009');
    $one->cut;
    my $refusal;
    # Each worker hears of it by itself.
    ok(wait_for { $refusal = eval { $door->refusal($here, %how) } }, 'who comes again is refused') or return;
    is($refusal->{code}, 4009, 'with 4009');
    is($refusal->{status}, 403, 'status 403') if $door->http;
    cmp_ok($refusal->{retry_after_ms}, '>', 3_000_000, 'and told for how long');
    cmp_ok($refusal->{headers}{'retry-after'}, '>', 3000, 'Retry-After, too') if $refusal->{headers};
    api(unban => user => $user);
    my $again;
    ok(wait_for { $again = eval { $door->listen($here, %how) } }, 'until then');
    $again->cut;
    nobody_left();
};

each_door 'decisions', 'one is taken out of one channel, and stays in the other' => sub {
    my ($door)   = @_;
    my $user     = 'out-' . $door->key;
    my @channels = map { "doors:open:out-$_-" . $door->key } 1, 2;
    my $one      = $door->listen($here, channels => \@channels, sub => $user);
    held($one);
    api(unsubscribe => user => $user, channel => $channels[0]);
    my $told = $one->expect('unsubscribed');
    is("$told->{channel} $told->{code}", "$channels[0] 4013", 'it is told');
    if ($door->kind eq 'poll') {
        pass('who polls for it again is in it again: nobody is banned from it');
    }
    else {
        say_all($channels[0], 'out');
        say_all($channels[1], 'in');
        is($one->event->{data}, 'in', 'the other goes on, and nothing comes of the first');
    }
    $one->cut;
    nobody_left();
};

# ---- slow readers ----------------------------------------------------------------------------------------------------

check 'slow readers at every door' => sub {
    my @doors  = doors_for('slow');
    my @slow   = map { [ $_, $_->listen($here, channel => 'doors:bare:slow', at => 'slow', port => 'small', receive_buffer => 4096, sub => 'slow-' . $_->key) ] } @doors;
    my $good   = $here->client(sub => 'good', with => { path => '/ws-idle' });
    $good->subscribe('doors:bare:slow');
    my $before  = $here->status->{connections}{slow};
    my @workers = $here->nginx->workers;
    my %memory  = map { $_ => $here->nginx->memory_of($_) } @workers;
    my $filler  = 's' x 30_000;
    my ($count, $wrong, $most) = (0, 0, 0);
    while ($count < 1200) {
        for (1 .. 10) {
            ++$count;
            $speaker->publish_json('doors:bare:slow', qq([$count,"$filler"]));
        }
        for my $n ($count - 9 .. $count) { ++$wrong if index($good->next_text, qq("data":[$n,")) < 0 }
        for my $pid (@workers) { my $grown = $here->nginx->memory_of($pid) - $memory{$pid}; $most = $grown if $grown > $most }
        last if $here->status->{connections}{slow} - $before >= @slow;
    }
    is($here->status->{connections}{slow} - $before, scalar @slow, "all are given up, after $count publications");
    is($wrong, 0, 'a reader that keeps up has everything, in order');
    cmp_ok($most, '<', (24 << 20) + $Weft::Test::SANITIZER_MEMORY, sprintf 'a worker grew by %.1f MB', $most / (1 << 20));
    for (@slow) {
        my ($door, $one) = @$_;
        check $door->name . ': a slow reader is given up with 4014' => sub {
            my $end = eval { $one->ending } // do { note($@); {} };
            ok(!$end->{code} || $end->{code} == 4014, 'it is told 4014, if there is still room to say it') or diag($end->{code});
            ok(wait_for { slurp($here->nginx->folder . '/ends.log') =~ /^slow-@{[ $door->key ]}\|4014\|server\|/m }, 'and logged');
            $one->cut;
        };
    }
    $good->leave;
    nobody_left();
};

# ---- what breaks -----------------------------------------------------------------------------------------------------

# One that goes on, as clients do: when it has ended it comes back from where it stands. What came is in {got}.
sub goes_on {
    my ($door, $channel) = @_;
    return { door => $door, channel => $channel, one => $door->listen($here, channel => $channel, sub => 'on-' . $door->key), got => [], ends => [], told => [] };
}
sub step {
    my ($that) = @_;
    if (!$that->{one}) {
        $that->{one} = eval { $that->{door}->listen($here, channel => $that->{channel}, sub => 'on-' . $that->{door}->key,
            defined $that->{position} ? (position => $that->{position}) : ()) } or return;
        my $said = $that->{one}->subscribed($that->{channel});
        push @{ $that->{told} }, 'not recovered' if $said && exists $said->{recovered} && !$said->{recovered};
    }
    my $one = $that->{one};
    while (my $frame = eval { $one->next(quiet => 1, timeout => 0.001) }) {
        if    ($frame->{type} eq 'event')                { push @{ $that->{got} },  $frame->{payload}{data} }
        elsif ($frame->{type} =~ /^(?:reconnect|gap)$/)  { push @{ $that->{told} }, $frame->{type} }
        elsif ($frame->{type} eq 'subscribed' && $frame->{payload}{recovered} eq '0' && @{ $that->{got} }) { push @{ $that->{told} }, 'not recovered' }
    }
    push @{ $that->{told} }, "died: $@" if $@;
    return unless $one->{end} || $@;
    push @{ $that->{ends} }, $one->{end}{code} // 'none';
    $that->{position} = $one->position;
    eval { $one->cut };
    undef $that->{one};
    return;
}

# Publishes, breaks something, publishes on until $done->() and a while longer; then everybody reads to the end.
sub under_publishers {
    my ($what, $channel, $break, $done) = @_;
    my @doors = doors_for($what);
    my @all   = map { goes_on($_, $channel) } @doors;
    my $count = 0;
    my $round = sub { say_all($channel, ++$count); step($_) for @all };
    $round->() for 1 .. 5;
    $break->($round);
    my $until = time + 40;
    $round->() until $done->(\@all) || time > $until;
    $round->() for 1 .. 10;
    # Who has no word for a position has what came while it was there.
    my $complete = sub { my ($that) = @_; ($that->{got}[-1] // 0) == $count };
    ok(wait_for { step($_) for @all; !grep { !$complete->($_) } @all }, "everybody has the last of $count")
        or diag(join ', ', map { $_->{door}->key . ": $#{ $_->{got} }" } grep { !$complete->($_) } @all);
    return ($count, @all);
}

# Each has everything, once and in order, except who can't resume and had to.
sub has_all {
    my ($that, $count) = @_;
    my $can = $that->{door}->key ne 'raw' || !@{ $that->{ends} };
    my @want = 1 .. $count;
    if ($can) { is("@{ $that->{got} }", "@want", 'it has everything, once and in order') }
    else {
        my @sorted = sort { $a <=> $b } @{ $that->{got} };
        is("@{ $that->{got} }", "@sorted", 'a plain client has what came while it was there, in order');
        my %seen;
        ok(!(grep { $seen{$_}++ } @{ $that->{got} }), 'and none twice');
    }
    $that->{one}->cut if $that->{one};
    return;
}

{
    my ($old, @old);
    my ($count, @all) = under_publishers('drain', 'doors:open:drain', sub { @old = $here->nginx->reload },
        sub { my ($all) = @_; !(grep { -d "/proc/$_" } @old) && !grep { !@{ $_->{ends} } && $_->{door}->kind ne 'poll' } @$all });
    for my $that (@all) {
        check $that->{door}->name . ': a reload sends one away, and who comes back misses nothing' => sub {
            if ($that->{door}->kind ne 'poll') {
                is_deeply($that->{ends}, [1012], 'closed once, with 1012');
                is_deeply($that->{told}, ['reconnect'], 'told to come back, and of no loss');
            }
            else {
                ok(!(grep { $_ ne '1012' } @{ $that->{ends} }), 'a poll is answered, or closed with 1012') or diag("@{ $that->{ends} }");
                ok(!(grep { $_ ne 'reconnect' } @{ $that->{told} }), 'told of no loss') or diag("@{ $that->{told} }");
            }
            has_all($that, $count);
        };
    }
    $here->wait_linked;
    nobody_left();
}

{
    my ($count, @all) = under_publishers('weftd', 'doors:open:weftd',
        sub {
            my ($round) = @_;
            $here->weftd->crash;
            $round->() for 1 .. 20;
            $here->weftd->start;
        },
        sub { eval { $here->status->{link}{up} == 2 } });
    for my $that (@all) {
        check $that->{door}->name . ': a weftd that was killed costs nothing that its peer knows' => sub {
            is_deeply($that->{ends}, [], 'the connection stays') if $that->{door}->kind ne 'poll';
            ok(!(grep { $_ eq '1012' || $_ eq 'none' } @{ $that->{ends} }), 'nothing breaks') or diag("@{ $that->{ends} }");
            is_deeply($that->{told}, [], 'nothing is said to be lost');
            has_all($that, $count);
        };
    }
    nobody_left();
}

{
    # Without a peer nobody knows any more.
    my $alone = nodes_with_doors($t, 'alone', {});
    my $local = $alone->client(sub => 'local');
    my %all   = map { $_->key => [ $_, $_->listen($alone, channel => 'doors:open:told', sub => 'told-' . $_->key) ] } doors_for('told');
    $local->must('publish', channel => 'doors:open:told', data => 1);
    $_->[1]->event for values %all;
    $alone->weftd->crash;
    $alone->weftd->start;
    $alone->wait_linked;
    ok(Weft::Test::Node::served($local), 'weftd was killed, and is there again');
    $local->must('publish', channel => 'doors:open:told', data => 2);
    for my $key (sort keys %all) {
        my ($door, $one) = @{ $all{$key} };
        check $door->name . ': what a killed weftd alone knew is told to be lost, and it goes on' => sub {
            my ($told, $data);
            until (defined $data) {
                my $frame = eval { $one->next };
                if (!$frame) {
                    # A poll that came while weftd was away.
                    is($one->{end}{code}, 4017, 'told to come again') or die "$@\n";
                    my $position = $one->position;
                    $one->cut;
                    ok(wait_for { $one = eval { $door->listen($alone, channel => 'doors:open:told', sub => 'told-' . $door->key, position => $position) } }, 'which works') or return;
                    $told = 1 if !$one->subscribed('doors:open:told')->{recovered};
                    next;
                }
                $told = 1 if $frame->{type} eq 'gap' || $frame->{type} eq 'subscribed' && !$frame->{payload}{recovered};
                $data = $frame->{payload}{data} if $frame->{type} eq 'event';
            }
            ok($told, 'told');
            is($data, 2, 'and then what is new');
            $one->cut;
        };
    }
    $local->leave;
    nothing_left($alone);
}

{
    $t->expect_in_log(qr/exited on signal 9/);
    my ($count, @all) = under_publishers('worker', 'doors:open:worker',
        sub {
            my ($round) = @_;
            for my $pid ($here->nginx->workers) {
                kill 'KILL', $pid;
                $round->() for 1 .. 5;
                wait_for { my @now = $here->nginx->workers; @now == 2 && !grep { $_ == $pid } @now };
                $here->wait_linked;
            }
        },
        sub { my ($all) = @_; !grep { !@{ $_->{ends} } && $_->{door}->kind ne 'poll' } @$all });
    for my $that (@all) {
        check $that->{door}->name . ': a worker that is killed costs the connection, and nothing else' => sub {
            ok(!(grep { $_ ne 'none' } @{ $that->{ends} }), 'nothing is said') or diag("@{ $that->{ends} }");
            is_deeply($that->{told}, [], 'nothing is lost') or diag("@{ $that->{told} }");
            has_all($that, $count);
        };
    }
    nobody_left();
}

# ---- logs ------------------------------------------------------------------------------------------------------------

each_door 'log', 'its end has a line in weft_log' => sub {
    my ($door)  = @_;
    my $user    = 'logged-' . $door->key;
    my $channel = 'doors:open:log-' . $door->key;
    my $one     = $door->listen($here, channel => $channel, sub => $user);
    held($one);
    say_all($channel, 'x' x 1000);
    $one->event;
    held($one);
    $one->cut;
    my @lines;
    ok(wait_for { @lines = grep { /^\Q$user\E\|/ } split /\n/, slurp($here->nginx->folder . '/ends.log'); @lines >= ($door->kind eq 'poll' ? 3 : 1) }, 'it is there');
    my ($code, $by, $messages, $bytes, $uri) = (split /\|/, $lines[-1])[ 1 .. 5 ];
    is("$code $by", $door->http ? '1000 client' : '1006 -', 'who went');
    is($uri, '/' . $door->kind, 'where');
    my ($said) = grep { $_ > 0 } map { (split /\|/)[3] } @lines;
    cmp_ok($said // 0, '>=', 1, 'messages are counted');
    is(scalar @lines, 1, 'one line') if $door->kind ne 'poll';
    nobody_left();
};

$speaker->leave;
nothing_left($here, $there);
$t->expect_in_log(qr/link to weftd is down/);
$t->finish;
done_testing;
