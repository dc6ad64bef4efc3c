# Every door to the channels keeps the same promises: how one comes in, what one gets, how one comes back.
# (t/92_doors_endings.t: how it ends.)
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Weft::Door::Promise;
use Weft::Test;
use Weft::Ticket;

plan skip_all => 'no curl that speaks HTTP/2' unless qx{curl --version 2>/dev/null} =~ /\bHTTP2\b/;

my $t = Weft::Test->new;
my ($here, $there) = nodes_with_doors($t, 'a', 'b', {
    variants => {
        idle   => 'weft_heartbeat 10m;',
        few    => 'weft_connections per_user=1;',
        two    => 'weft_subscriptions 2;',
        beat   => 'weft_heartbeat 1s timeout=20s;',
        origin => 'weft_origin https://app.example.com;',
    },
});
my $speaker = $here->client(sub => 'speaker', with => { path => '/ws-idle' });

# Publishes these values in turn.
sub say_all { my ($channel, @data) = @_; $speaker->must('publish', channel => $channel, data => $_) for @data; return }
sub channel { my ($kind, $door) = @_; state $n = 0; return "doors:$kind:" . $door->key . ++$n }

# The speaker is the only one who stays.
sub only_speaker {
    my $status;
    ok(wait_for { $status = $here->status; $status->{connections}{active} == 1 && !$status->{subscriptions} && !$status->{channels} },
        'nothing of it is left in weft_status')
        or diag("active $status->{connections}{active}, subscriptions $status->{subscriptions}, channels $status->{channels}");
    return;
}

# A poll hears of what is not kept only while it is held. (The other one is the speaker.)
sub held { return all_held($here, 1, @_) }

# A listener in a worker that fits; the others are cut.
sub listen_where {
    my ($fits, $door, $node, %how) = @_;
    for (1 .. 60) {
        my $one = $door->listen($node, %how);
        return $one if $fits->($one);
        $one->cut;
    }
    die "not every worker takes connections\n";
}

# ---- what one gets ---------------------------------------------------------------------------------------------------

each_door 'receive', 'one is let in and gets what is published, as it is' => sub {
    my ($door)  = @_;
    my $channel = channel('open', $door);
    my $one     = $door->listen($here, channel => $channel);
    my @data    = (1, 'text', { deep => [ { er => undef } ] }, "lines\nof\r\ntext", "\x{e4}\x{1f600}", [], '');
    say_all($channel, @data);
    is_deeply($one->data(scalar @data), \@data, 'what clients say');
    is($here->publish($channel, "{\n  \"back\":\r\n \"end\"\n}")->{status}, 202, 'and back ends');
    is_deeply($one->event->{data}, { back => 'end' }, 'over several lines');
    if ($door->key ne 'raw') {
        say_all($channel, 'known');
        my $event = $one->event;
        is($event->{publisher}{user}, 'speaker', 'who said it');
        like($event->{message_id}, qr/./, 'under which id');
        is($event->{channel}, $channel, 'where');
        like($event->{timestamp}, qr/^\d{4}-\d\d-\d\dT[\d:]+\.\d{3}Z$/, 'when');
    }
    $one->cut;
    only_speaker();
};

each_door 'receive', 'several channels come over one connection' => sub {
    my ($door)   = @_;
    my @channels = map { channel('open', $door) } 1 .. 2;
    my $one      = $door->listen($here, channels => \@channels);
    say_all($channels[ $_ % 2 ], $_) for 1 .. 6;
    my @got = sort { $a <=> $b } @{ $one->data(6) };    # poll answers may have them by channel
    is_deeply(\@got, [ 1 .. 6 ], 'of both');
    $one->cut;
    only_speaker();
};

each_door 'order', 'hundreds in flight come in order, none lost, none twice' => sub {
    my ($door)  = @_;
    my $channel = channel('open', $door);
    my $count   = 400;
    my @ones    = map { $door->listen($_, channel => $channel) } $here, $there;
    my $sent    = 0;
    while ($sent < $count) {
        my @some = map { $sent + $_ } 1 .. 100;
        $sent += 100;
        $speaker->raw_send(join '', map { Weft::Client::frame_bytes(text => qq({"type":"publish","payload":{"channel":"$channel","data":$_}})) } @some);
        push @{ $_->{got} }, @{ $_->data(30) } for @ones;    # while more is on the way
    }
    for my $one (@ones) {
        my $got = [ @{ $one->{got} }, @{ $one->data($count - @{ $one->{got} }) } ];
        is("@$got", join(' ', 1 .. $count), $one == $ones[0] ? 'on the same node' : 'on another');
        ok(!$one->event(quiet => 1, timeout => 0.05), 'and nothing else');
        $one->cut;
    }
    only_speaker();
};

# ---- coming back -----------------------------------------------------------------------------------------------------

each_door 'resume', 'one who comes back gets what was missed, exactly once: on the same worker, another, another node' => sub {
    my ($door)  = @_;
    my $channel = channel('open', $door);
    my $one     = $door->listen($here, channel => $channel);
    my $n       = 0;
    for my $where ('the same worker', 'another worker', 'another node') {
        say_all($channel, $n + 1 .. $n + 3);
        is_deeply($one->data(3), [ $n + 1 .. $n + 3 ], 'in there');
        my ($position, $worker) = ($one->position, $one->worker);
        $one->cut(reset => 1);
        say_all($channel, $n + 4 .. $n + 40);
        my %back = (channel => $channel, position => $position, patient => 1);
        if ($where eq 'another node') {
            my $reader = $there->client;
            ok(wait_for { @{ $reader->must('history', channel => $channel, limit => 1000)->{events} } == $n + 40 }, 'which knows it all');
            $reader->hang_up;
            $one = $door->listen($there, %back);
        }
        else {
            my $same = $where eq 'the same worker';
            $one = listen_where(sub { ($_[0]->worker == $worker) == $same }, $door, $here, %back);
        }
        say_all($channel, $n + 41);
        is("@{ $one->data(38) }", join(' ', $n + 4 .. $n + 41), "back on $where, once and in order");
        ok(!$one->event(quiet => 1, timeout => 0.05), 'and nothing else');
        my $said = $one->subscribed($channel);
        ok($said->{recovered}, 'it was told that this was all') if $said && exists $said->{recovered};
        $n += 41;
    }
    $one->cut;
    only_speaker();
};

each_door 'resume', 'several channels are resumed together' => sub {
    my ($door)   = @_;
    my @channels = map { channel('open', $door) } 1 .. 2;
    my $one      = $door->listen($here, channels => \@channels);
    say_all($channels[0], 'first');
    say_all($channels[1], 'second');
    $one->data(2);
    my $position = $one->position;
    $one->cut;
    say_all($_, "missed in $_") for @channels;
    my $back = $door->listen($here, channels => \@channels, position => $position);
    is_deeply([ sort @{ $back->data(2) } ], [ sort map {"missed in $_"} @channels ], 'what was missed in both');
    ok(!$back->event(quiet => 1, timeout => 0.05), 'and nothing else');
    $back->cut;
};

each_door 'resume', 'what can not be resumed is told' => sub {
    my ($door)  = @_;
    my $channel = channel('short', $door);
    my $one     = $door->listen($here, channel => $channel);
    say_all($channel, 1);
    $one->event;
    my $position = $one->position;
    $one->cut;
    say_all($channel, 2 .. 12);
    my $back = $door->listen($here, channel => $channel, position => $position);
    is("@{ $back->data(5) }", '8 9 10 11 12', 'what history still has');
    my $said = $back->subscribed($channel);
    ok(defined $said->{recovered} && !$said->{recovered}, 'but not all, it says');
    $back->cut;
    my $nobodys = $door->listen($here, channel => $channel, position => 'zzz.7');
    $nobodys->data(5) if $door->kind eq 'poll';
    ok(!$nobodys->subscribed($channel)->{recovered}, 'nor from a stream that nobody knows');
    $nobodys->cut;
};

# ---- who may not come in ---------------------------------------------------------------------------------------------

my %STATUS = (4001 => 401, 4002 => 401, 4003 => 403, 4006 => 400, 4007 => 404, 4009 => 403, 4010 => 403, 4015 => 503, 4016 => 400);

# That a door refuses with this code and words, and with the status of it where that is HTTP.
sub refused {
    my ($what, $door, $code, $says, %how) = @_;
    my $refusal = $door->refusal($here, %how);
    is($refusal->{code}, $code, "$what: $code");
    like($refusal->{message}, $says, 'which says why') if defined $says;
    is($refusal->{status}, $STATUS{$code}, "status $STATUS{$code}") if $door->http;
    return $refusal;
}

each_door 'refusals', 'what one may not listen to is refused by its code, with what was expected' => sub {
    my ($door) = @_;
    my $grants = { 'doors:open:granted' => ['subscribe'], 'doors:bare:*' => ['publish'], 'doors:home-*' => [qw(subscribe publish)] };
    refused('without a grant', $door, 4010, qr/doesn't grant "subscribe"/, channel => 'doors:open:x', 'channels' => ['doors:open:x'], ticket => $t->ticket(channels => $grants));
    refused('with another grant', $door, 4010, qr/doesn't grant "subscribe"/, channel => 'doors:bare:x', ticket => $t->ticket(channels => $grants));
    refused("somebody else's", $door, 4010, qr/another user/, channel => 'doors:bob:own');
    refused('without a rule', $door, 4007, qr/no weft_channel rule/, channel => 'nowhere:x');
    $door->listen($here, channel => 'doors:open:granted', ticket => $t->ticket(channels => $grants))->cut;
    pass('what is granted is not');
    $door->listen($here, channel => 'doors:ann:own')->cut;
    pass('nor what is one\'s own');
    only_speaker();
};

each_door 'refusals', 'a channel that there can not be is refused' => sub {
    my ($door) = @_;
    # A plain client's channel is nginx.conf's to name; its query isn't decoded.
    my $name = $door->key eq 'raw' ? 'doors:open:!' : 'doors:open:a b';
    refused('a bad name', $door, 4006, qr/expected (?:.* )?(?:at most |1 to )255 bytes of A-Z a-z 0-9/, channel => $name);
    refused('one too long', $door, 4006, qr/255 bytes/, channel => 'doors:open:' . 'x' x 250);
    only_speaker();
};

each_door 'resume', 'a position that no server gave is refused' => sub {
    my ($door) = @_;
    for my $position ('nonsense', 'k3f.1_k3f.2', 'x' x 3000) {
        my $refusal = $door->refusal($here, channel => 'doors:open:x', position => $position);
        is($refusal->{code}, 4006, 'code 4006');
        like($refusal->{message}, qr/position/, 'which names the position');
        is($refusal->{status}, 400, 'status 400') if $door->http;
    }
    only_speaker();
};

each_door 'credentials', 'no ticket, a forged one, one that is over' => sub {
    my ($door) = @_;
    my %how = (channel => 'doors:open:x');
    my $none = refused('none', $door, 4001, undef, %how, ticket => undef);
    is($none->{headers}{'www-authenticate'}, 'Bearer', 'and the browser is told what to bring') if $door->http && $none->{headers};
    refused('forged', $door, 4002, undef, %how, ticket => Weft::Ticket::ticket('another key, of more than 32 bytes'));
    refused('over', $door, 4002, undef, %how, ticket => $t->ticket(exp => time - 600));
    refused('no ticket at all', $door, 4002, undef, %how, ticket => 'x.y.z');
    only_speaker();
};

each_door 'credentials', 'an origin that is not allowed is refused, and others are not' => sub {
    my ($door) = @_;
    my %how = (channel => 'doors:open:x', at => 'origin');
    my $refusal = $door->refusal($here, %how, headers => [ Origin => 'https://evil.example.com' ]);
    is($refusal->{code},   4003, 'code 4003') if $door->http;
    is($refusal->{status}, 403,  'status 403');
    my $one = $door->listen($here, %how, headers => [ Origin => 'https://app.example.com' ]);
    if ($door->http && $door->kind ne 'poll') {
        is($one->head->{headers}{'access-control-allow-origin'}, 'https://app.example.com', 'the page may read it');
        is($one->head->{headers}{vary}, 'Origin', 'and caches know');
    }
    $one->cut;
    only_speaker();
};

# ---- limits ----------------------------------------------------------------------------------------------------------

each_door 'limits', 'so many connections a user' => sub {
    my ($door) = @_;
    my %how = (channel => 'doors:open:x', at => 'few', sub => 'crowd-' . $door->key);
    my $one = $door->listen($here, %how);
    ok(wait_for { $here->status->{connections}{active} == 2 }, 'one is in');
    my $refusal = refused('a second', $door, 4015, undef, %how);
    $door->listen($here, %how, sub => 'another')->cut;
    pass('another user comes in');
    $one->cut;
    my $again;
    ok(wait_for { $again = eval { $door->listen($here, %how) } }, 'when the first has gone there is room');
    $again->cut if $again;
    only_speaker();
};

each_door 'channels', 'so many channels a connection' => sub {
    my ($door)   = @_;
    my @channels = map {"doors:open:$_"} 1 .. 3;
    refused('a third', $door, 4016, undef, channels => \@channels, at => 'two');
    $door->listen($here, channels => [ @channels[ 0, 1 ] ], at => 'two')->cut;
    pass('two are not');
    only_speaker();
};

# ---- besides publications --------------------------------------------------------------------------------------------

each_door 'presence', 'who comes and who goes is told where it may be, and nowhere else' => sub {
    my ($door)  = @_;
    my $channel = channel('seen', $door);
    my $one     = $door->listen($here, channel => $channel);
    my $deaf    = $door->listen($here, channel => $channel, ticket => $t->ticket(sub => 'deaf', channels => { '**' => ['subscribe'] }));
    held($one, $deaf);
    my $bob     = $there->client(sub => 'bob');
    $bob->subscribe($channel);
    my %seen;
    until ($seen{bob}) { $seen{ $one->expect('join')->{member}{user} }++ }
    pass('bob comes');
    held($one, $deaf);
    $bob->leave;
    my $left;
    do { $left = $one->expect('leave')->{member}{user} } until $left eq 'bob';
    pass('bob goes');
    say_all($channel, 'last');
    my @types;
    while (my $frame = $deaf->next) { push @types, $frame->{type} if $frame->{type} ne 'subscribed'; last if $frame->{type} eq 'event' }
    is("@types", 'event', 'one without the grant is told of publications alone');
    $_->cut for $one, $deaf;
};

each_door 'signals', 'signals come, and are not in history' => sub {
    my ($door)  = @_;
    my $channel = channel('open', $door);
    my $one     = $door->listen($here, channel => $channel);
    say_all($channel, 1);
    $one->event;
    my $position = $one->position;
    held($one);
    $speaker->must('signal', channel => $channel, name => 'typing_start', data => { on => JSON::PP::true });
    my $signal = $one->expect('signal');
    is($signal->{name}, 'typing_start', 'by their name');
    is($signal->{publisher}{user}, 'speaker', 'and who says it');
    $one->cut;
    my $back = $door->listen($here, channel => $channel, position => $position);
    say_all($channel, 2);
    my @types;
    while (my $frame = $back->next) { push @types, $frame->{type} if $frame->{type} ne 'subscribed'; last if $frame->{type} eq 'event' }
    is("@types", 'event', 'one who comes back is told of publications alone');
    $back->cut;
};

my @silent = map { my $door = $_; [ $door, eval { $door->listen($here, channel => 'doors:open:silent', at => 'beat') } // $@ ] } doors_for('heartbeats');
for (@silent) {
    my ($door, $one) = @$_;
    check $door->name . ': a silent channel is no dead connection' => sub {
        die $one unless ref $one && $one->can('next');
        if ($door->http) {
            ok(wait_for { $one->next(quiet => 1, timeout => 0.2); $one->heartbeats >= 2 }, 'a sign of life comes, and another');
        }
        else {
            # (t/09_heartbeat.t is about the pings.)
            $one->client->be_silent;
            my $frame;
            do { $frame = $one->client->next_frame } until !$frame || $frame->{opcode} == 9;
            ok($frame, 'a ping comes');
        }
        say_all('doors:open:silent', $door->key);
        my $data;
        do { $data = $one->event->{data} } until $data eq $door->key;
        pass('and then what is published');
        $one->cut;
    };
}

$speaker->leave;
nothing_left($here, $there);
$t->finish;
done_testing;
