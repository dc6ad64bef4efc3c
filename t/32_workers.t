# Weft under nginx's own switches: one process or many, in the background, how connections are accepted and events had.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(sleep);
use Weft::Test;

my $t    = Weft::Test->new;
my $key  = $t->key_file;
my $open = "weft_ticket key=$key; weft_rate off; weft_send_queue 8m;";

# What must work, whatever the switches.
sub works {
    my ($node, $name) = @_;
    my $nginx   = $node->nginx;
    my $channel = 'chat:main';
    my @clients = map { $node->client } 1 .. 12;
    $_->subscribe($channel) for @clients;
    $clients[0]->must('publish', channel => $channel, data => 'by frame');
    is($node->publish($channel, '"by POST"')->{status}, 202, 'a POST is accepted');
    my $good = grep { my $client = $_; 'by frame,by POST' eq join ',', map { $client->event->{data} } 1, 2 } @clients;
    is($good, 12, 'all get both publications');

    # A reader that stops for a while: its socket blocks, and is written again when there is room.
    my $slow = $node->client(with => { receive_buffer => 4096 });
    $slow->subscribe('chat:slow');
    my $filler = 's' x 20_000;
    $clients[1]->must('publish', channel => 'chat:slow', data => [ $_, $filler ]) for 1 .. 150;
    my $arrived = grep { index($slow->next_text, qq("data":[$_,"$filler"])) >= 0 } 1 .. 150;
    is($arrived, 150, 'a reader that pauses gets everything once it reads again');

    # More than one read of a turn, in one go.
    $clients[2]->raw_send(join '', map { Weft::Client::frame_bytes(text => qq({"type":"ping","id":"$_"}) . ' ' x 2000) } 1 .. 400);
    my @pongs = map { $clients[2]->expect('pong')->{id} } 1 .. 400;
    is_deeply(\@pongs, [ 1 .. 400 ], 'a flood of 400 commands is answered, in order');

    $clients[$_]->hang_up(reset => $_ % 2) for 3 .. 6;
    is($clients[$_]->leave->{code}, 1000, 'a close is answered') for 7, 8;
    my $status;
    ok(wait_for { ($status = $node->status)->{connections}{active} == 7 }, 'who is left is counted') or diag(explain($status));

    # An idle worker does nothing but its 20 ticks a second; one that is woken for ever uses all of a core.
    my %used = map { $_ => Weft::Test::Process::ticks_used($_) } $nginx->workers;
    sleep 0.5;
    my @busy = grep { Weft::Test::Process::ticks_used($_) - $used{$_} > 20 } sort keys %used;
    is(scalar @busy, 0, 'with clients that are silent no worker is busy')
        or diag(map { "$_: " . (Weft::Test::Process::ticks_used($_) - $used{$_}) . " ticks\n" } @busy);
    return;
}

my @switches = (
    [ 'master_process off',                   single => 1 ],
    [ 'daemon on',                            daemon => 1 ],
    [ 'daemon on with master_process off',    daemon => 1, single => 1 ],
    [ 'one worker with reuseport',            workers => 1, reuseport => 1 ],
    [ 'two workers with reuseport',           workers => 2, reuseport => 1 ],
    [ 'four workers with reuseport',          workers => 4, reuseport => 1 ],
    [ 'four workers without reuseport',       workers => 4, reuseport => 0 ],
    [ 'accept_mutex on',                      workers => 2, reuseport => 0, events => 'accept_mutex on; accept_mutex_delay 20ms;' ],
    [ 'multi_accept on',                      workers => 2, events => 'multi_accept on;' ],
    [ 'accept_mutex on with multi_accept on', workers => 2, reuseport => 0, events => 'accept_mutex on; accept_mutex_delay 20ms; multi_accept on;' ],
    [ 'use epoll',                            workers => 2, events => 'use epoll;' ],
    [ 'use poll',                             workers => 2, events => 'use poll;' ],
    [ 'use select',                           workers => 2, events => 'use select;', connections => 256 ],
    [ 'timer_resolution',                     workers => 2, main => "timer_resolution 100ms;\n" ],
    [ 'the smallest buffers',                 http => "    connection_pool_size 256;\n    request_pool_size 256;\n    client_header_buffer_size 64;\n    output_buffers 1 512;\n" ],
    [ 'every switch about how TCP ends and pushes', http => "    tcp_nopush on;\n    tcp_nodelay off;\n    sendfile on;\n    reset_timedout_connection on;\n    lingering_close always;\n    postpone_output 1460;\n" ],
    [ 'no keep-alive, and times that are over soon', http => "    keepalive_timeout 0;\n    client_header_timeout 1s;\n    client_body_timeout 1s;\n    send_timeout 1s;\n" ],
    [ 'deferred accept',                      listen => [ '127.0.0.1:' . $t->port . ' deferred' ] ],
);
for (@switches) {
    my ($name, %options) = @$_;
    check $name => sub {
        if (($options{events} // '') =~ /^use (\w+)/) {
            my $method = $1;
            my ($status, $output) = $t->nginx("probe-$method", stopped => 1)
                ->test_configuration("pid nginx.pid;\nevents { use $method; }\n");
            plan skip_all => "this nginx has no \"$method\"" if $output =~ /invalid event type/;
        }
        my $node = $t->node($name =~ s/\W/-/gr, location => $open, http => '', %options);
        if ($options{listen}) { $node->nginx->{port} = ($options{listen}[0] =~ /:(\d+)/)[0] }
        works($node);
        is(scalar(my @one_each = $node->client_per_worker), $options{workers}, 'every worker takes connections')
            if $options{reuseport};
        is($node->nginx->stop, 0, 'nginx ends with status 0');
        $node->weftd->stop;
    };
}

check 'quit with master_process off' => sub {
    my $node    = $t->node('single-quit', single => 1, location => $open);
    my @clients = map { $node->client } 1 .. 5;
    $node->nginx->signal('QUIT');
    # nginx itself ends at once then.
    is(scalar(grep { my $client = $_; wait_for { !$client->is_open } } @clients), 5, 'every client sees the end');
    is($node->nginx->process->wait_end, 0, 'status 0');
};

check 'with all worker_connections taken, newcomers are turned away and the others served' => sub {
    my $node = $t->node('full', connections => 24, location => $open, http => "    keepalive_timeout 0;\n");
    $t->expect_in_log(qr/\[alert\] .* worker_connections are not enough/);
    my $sockets = $node->nginx->descriptors_of(($node->nginx->workers)[0]);
    my @clients;
    for (1 .. 40) {
        my $client = eval { $node->client } or last;
        push @clients, $client;
    }
    cmp_ok(scalar @clients, '<', 24, 'not all get in');
    cmp_ok(scalar @clients, '>', 8,  'some do');
    $_->subscribe('chat:full') for @clients;
    $clients[0]->must('publish', channel => 'chat:full', data => 1);
    is(scalar(grep { $_->event->{data} == 1 } @clients), scalar @clients, 'and are served');
    $_->hang_up for @clients;
    ok(wait_for { eval { $node->client }; !$@ }, 'when they have gone, others get in');
    ok(wait_for { my $s = eval { $node->status }; $s && $s->{connections}{active} == 0 }, 'and nothing stays counted');
    ok(wait_for { $node->nginx->descriptors_of(($node->nginx->workers)[0]) <= $sockets }, 'or open');
};

$t->finish;
done_testing;
